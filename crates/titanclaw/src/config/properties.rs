//! Any config either means exactly what it says, or is refused with the key's name: no value is dropped in silence, and
//! no mistake makes a rule weaker.

use super::keys::{self, KEYS, Kind};
use super::{Config, Policy, Rule, edit, parse};
use proptest::prelude::*;
use toml_edit::DocumentMut;

/// A value that fits, as TOML.
fn fitting(kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Text => "[a-z0-9/._-]{1,12}"
            .prop_map(|text| format!("{text:?}"))
            .boxed(),
        Kind::Address => Just("\"::1\"".to_owned()).boxed(),
        Kind::Flag => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        Kind::Count { min, max } => (min..=max).prop_map(|n| n.to_string()).boxed(),
        Kind::Number { min, max } => (min..=max).prop_map(|n| format!("{n:?}")).boxed(),
        Kind::Choice(choices) => (0..choices.len())
            .prop_map(move |at| format!("{:?}", choices[at]))
            .boxed(),
        Kind::Names => proptest::collection::vec("[a-z/]{1,8}", 0..3)
            .prop_map(|names| format!("{names:?}"))
            .boxed(),
    }
}

/// Any value at all, most of which fit nowhere.
fn any_value() -> BoxedStrategy<String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "[ -!#-Z^-~]{0,8}".prop_map(|text| format!("\"{text}\"")),
        Just("nan".to_owned()),
        Just("inf".to_owned()),
        Just("-1".to_owned()),
        Just("1e999".to_owned()),
        Just("[]".to_owned()),
        Just("[1]".to_owned()),
        Just("{}".to_owned()),
        Just("{ allow = true }".to_owned()),
        Just("\"Allow\"".to_owned()),
        Just("\" allow\"".to_owned()),
        Just("2026-01-01".to_owned()),
    ]
    .boxed()
}

/// A setting and a value for it.
fn line() -> BoxedStrategy<(&'static str, String)> {
    (0..KEYS.len())
        .prop_flat_map(|at| {
            let key = &KEYS[at];
            prop_oneof![3 => fitting(key.kind), 1 => any_value()]
                .prop_map(move |value| (key.path, value))
        })
        .boxed()
}

/// Settings, each at most once.
fn lines() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    proptest::collection::vec(line(), 0..8).prop_map(|mut lines| {
        lines.sort();
        lines.dedup_by_key(|line| line.0);
        lines
    })
}

fn rules(policy: &Policy) -> [(&'static str, Rule); 8] {
    [
        ("policy.read", policy.read),
        ("policy.read_outside", policy.read_outside),
        ("policy.write", policy.write),
        ("policy.write_outside", policy.write_outside),
        ("policy.run_reading", policy.run_reading),
        ("policy.run", policy.run),
        ("policy.network", policy.network),
        ("policy.remember", policy.remember),
    ]
}

fn fits(path: &str, value: &str) -> bool {
    let key = keys::find(path).expect("a setting");
    let Ok(value) = value.parse::<toml_edit::Value>() else {
        return false;
    };
    keys::check_value(key.kind, &value).is_ok()
}

/// No rule is weaker than it was written, or than its default where nothing was.
fn assert_no_rule_is_weaker(
    config: &Config,
    lines: &[(&str, String)],
) -> Result<(), TestCaseError> {
    let default = Config::default();
    for ((path, rule), (_, default)) in rules(&config.policy).iter().zip(rules(&default.policy)) {
        let written = lines.iter().find(|(known, _)| known == path);
        let expected = match written.map(|(_, value)| value.as_str()) {
            Some("\"allow\"") => Rule::Allow,
            Some("\"ask\"") => Rule::Ask,
            Some("\"deny\"") => Rule::Deny,
            Some(other) => panic!("{path} = {other} was accepted"),
            None => default,
        };
        prop_assert_eq!(*rule, expected, "{}", path);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_config_means_what_it_says_or_is_refused_by_its_keys_name(lines in lines()) {
        let text: String = lines.iter().map(|(path, value)| format!("{path} = {value}\n")).collect();
        let wrong: Vec<&str> = lines
            .iter()
            .filter(|(path, value)| !fits(path, value))
            .map(|(path, _)| *path)
            .collect();
        match parse(&text) {
            Ok(loaded) => {
                prop_assert_eq!(&wrong, &Vec::<&str>::new());
                prop_assert_eq!(&loaded.warnings, &Vec::<String>::new());
                assert_no_rule_is_weaker(&loaded.config, &lines)?;
            }
            Err(error) => {
                let told = format!("{error:#}");
                // A value that is no TOML at all is told with its line.
                let is_named = wrong.iter().any(|path| told.contains(&format!("`{path}`")));
                prop_assert!(!wrong.is_empty(), "{} was refused: {}", text, told);
                prop_assert!(is_named || told.contains("line "), "{}", told);
            }
        }
    }

    #[test]
    fn a_setting_that_there_is_not_changes_nothing_and_is_told(
        lines in lines(),
        section in "(policy|polic|limits|display|xyz)",
        name in "[a-z_]{1,14}",
        value in any_value(),
    ) {
        let path = format!("{section}.{name}");
        prop_assume!(keys::find(&path).is_err() && value.parse::<toml_edit::Value>().is_ok());
        let good: Vec<_> = lines.into_iter().filter(|(path, value)| fits(path, value)).collect();
        let text: String = good.iter().map(|(path, value)| format!("{path} = {value}\n")).collect();
        let without = parse(&text).expect("all of it fits").config;
        let with = parse(&format!("{text}{path} = {value}\n")).expect("an unknown setting is no error");
        prop_assert_eq!(with.config, without);
        prop_assert!(with.warnings.iter().any(|told| told.contains(&section)), "{:?}", with.warnings);
    }

    #[test]
    fn any_text_is_read_or_refused_in_words(text in "(\\[{1,2}[a-z.]{0,9}\\]{0,2}|[a-z_.\"]{0,9}|[ =,{}\\[\\]#\n'\"]{0,3}|[0-9]{0,4}){0,12}") {
        match parse(&text) {
            Ok(loaded) => assert_no_rule_is_weaker(&loaded.config, &written(&text))?,
            Err(error) => {
                let told = format!("{error:#}");
                prop_assert!(told.len() > 10, "{}", told);
            }
        }
    }

    #[test]
    fn whatever_is_typed_the_file_that_is_written_can_be_used(
        typed in proptest::collection::vec(((0..KEYS.len()), "[ -~]{0,12}"), 1..6),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        for (at, value) in typed {
            let mut document = edit::read(&path).expect("it could be used before");
            let before = document.to_string();
            if edit::set(&mut document, KEYS[at].path, &value).is_err() {
                prop_assert_eq!(document.get("x").is_some(), false);
                continue;
            }
            match edit::write(&path, &document) {
                Ok(()) => prop_assert!(super::load(&path).is_ok()),
                Err(_) => prop_assert_eq!(edit::read(&path).expect("it stands").to_string(), before),
            }
        }
        if edit::last_good(&path).exists() {
            prop_assert!(super::load(&edit::last_good(&path)).is_ok());
        }
    }
}

/// The settings that a text holds, as they are written.
fn written(text: &str) -> Vec<(&'static str, String)> {
    let document: DocumentMut = text.parse().expect("it was read before");
    let of = |path: &'static str| {
        let (section, name) = path.split_once('.')?;
        let value = document.get(section)?.get(name)?.as_value()?;
        Some((path, value.clone().decorated("", "").to_string()))
    };
    KEYS.iter().filter_map(|key| of(key.path)).collect()
}
