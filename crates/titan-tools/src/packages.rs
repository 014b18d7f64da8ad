//! What a folder's package says that it is for: the description in its manifest, in one line.

use serde_json::Value;
use std::path::Path;
use titan_protocol::Workbench;

/// The manifests that carry a description, and the table of each that holds it (the document itself if empty).
const MANIFESTS: [(&str, &str); 4] = [
    ("Cargo.toml", "package"),
    ("package.json", ""),
    ("pyproject.toml", "project"),
    ("composer.json", ""),
];
/// Bytes of a manifest that are looked at; one cut there is not understood and says nothing.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Characters of a description that are shown.
const DESCRIPTION_CHARS_MAX: usize = 120;

/// The description of the package in this folder; `None` where there is no package or it says nothing.
pub(crate) async fn description(workbench: &dyn Workbench, folder: &Path) -> Option<String> {
    for (name, table) in MANIFESTS {
        let path = folder.join(name);
        if let Ok(bytes) = workbench.read(&path, 0, MANIFEST_BYTES_MAX).await
            && let Some(described) = described(name, table, &bytes)
        {
            return Some(described);
        }
    }
    None
}

fn described(name: &str, table: &str, bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let manifest: Value = match name.ends_with(".toml") {
        true => toml::from_str(text).ok()?,
        false => serde_json::from_str(text).ok()?,
    };
    let package = match table {
        "" => &manifest,
        table => manifest.get(table)?,
    };
    let words: Vec<&str> = package
        .get("description")?
        .as_str()?
        .split_whitespace()
        .collect();
    let line: String = words
        .join(" ")
        .chars()
        .take(DESCRIPTION_CHARS_MAX)
        .collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tells_its_description_in_one_line() {
        let cases: [(&str, &str, &str, Option<&str>); 6] = [
            (
                "Cargo.toml",
                "package",
                "[package]\nname = 'a'\ndescription = '''\nfor\n  this'''",
                Some("for this"),
            ),
            (
                "Cargo.toml",
                "package",
                "[workspace]\nmembers = ['a']",
                None,
            ),
            (
                "Cargo.toml",
                "package",
                "[package]\ndescription.workspace = true",
                None,
            ),
            (
                "package.json",
                "",
                r#"{"description": "a server"}"#,
                Some("a server"),
            ),
            ("package.json", "", r#"{"description": ""}"#, None),
            (
                "pyproject.toml",
                "project",
                "[project]\ndescription = 'half",
                None,
            ),
        ];
        for (name, table, text, expected) in cases {
            assert_eq!(
                described(name, table, text.as_bytes()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
