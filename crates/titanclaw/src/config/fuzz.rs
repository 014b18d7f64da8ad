//! Config files that nobody meant: kept in `fuzz/corpus/config`.

use super::{Config, Rule, keys, parse};

/// A text is read or refused in words; what was read never has a rule that allows what neither the default nor the
/// text's own letters allow.
#[test]
fn fuzz_config() {
    let default = Config::default().policy;
    titan_testkit::fuzz::check("config", |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        let loaded = match parse(text) {
            Ok(loaded) => loaded,
            Err(error) => {
                let told = format!("{error:#}");
                let is_named = told.contains("line ") || told.contains('`') || told.contains("[[");
                assert!(is_named, "{told}");
                return;
            }
        };
        let policy = loaded.config.policy;
        let is_looser = [
            (policy.read_outside, default.read_outside),
            (policy.write, default.write),
            (policy.write_outside, default.write_outside),
            (policy.run, default.run),
            (policy.network, default.network),
        ]
        .iter()
        .any(|(rule, default)| *rule == Rule::Allow && *default != Rule::Allow);
        assert!(
            !is_looser || text.contains("allow") || text.contains("\\u"),
            "{policy:?}"
        );
        let document: toml_edit::DocumentMut = text.parse().expect("it was read before");
        let n_findings = keys::check(&document).len();
        assert_eq!(loaded.warnings.len(), n_findings, "each oddity is told");
    });
}
