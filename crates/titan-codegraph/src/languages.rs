//! The languages that are read, one row each: what files end with, the grammar, and what is asked of its trees.

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use tree_sitter::{Query, QueryError};
use tree_sitter_language::LanguageFn;

/// A language that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are called what they are")]
pub enum Language {
    Rust,
    Python,
    JavaScript,
    TypeScript,
    Tsx,
    Go,
    Java,
    C,
    Cpp,
    Ruby,
    Bash,
    Json,
    Toml,
    Yaml,
    Markdown,
    Html,
    Css,
}

/// Languages whose files see one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Family {
    Rust,
    Python,
    Script,
    Go,
    Java,
    C,
    Ruby,
    Bash,
    /// Structure alone: nothing there calls anything.
    Data,
}

pub(crate) struct Row {
    pub(crate) language: Language,
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    extensions: &'static [&'static str],
    grammar: LanguageFn,
    /// Patterns, one after the other: a language that extends another has both.
    queries: &'static [&'static str],
    query: OnceLock<Result<Query, QueryError>>,
}

macro_rules! row {
    ($language:ident, $name:literal, $family:ident, [$($extension:literal),*], $grammar:expr, [$($query:literal),*]) => {
        Row {
            language: Language::$language,
            name: $name,
            family: Family::$family,
            extensions: &[$($extension),*],
            grammar: $grammar,
            queries: &[$(include_str!(concat!("queries/", $query))),*],
            query: OnceLock::new(),
        }
    };
}

/// In the order of [`Language`].
static ROWS: [Row; 17] = [
    row!(
        Rust,
        "rust",
        Rust,
        ["rs"],
        tree_sitter_rust::LANGUAGE,
        ["rust.scm"]
    ),
    row!(
        Python,
        "python",
        Python,
        ["py", "pyi"],
        tree_sitter_python::LANGUAGE,
        ["python.scm"]
    ),
    row!(
        JavaScript,
        "javascript",
        Script,
        ["js", "mjs", "cjs", "jsx"],
        tree_sitter_javascript::LANGUAGE,
        ["javascript.scm", "javascript_only.scm"]
    ),
    row!(
        TypeScript,
        "typescript",
        Script,
        ["ts", "mts", "cts"],
        tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
        ["javascript.scm", "typescript.scm"]
    ),
    row!(
        Tsx,
        "tsx",
        Script,
        ["tsx"],
        tree_sitter_typescript::LANGUAGE_TSX,
        ["javascript.scm", "typescript.scm"]
    ),
    row!(Go, "go", Go, ["go"], tree_sitter_go::LANGUAGE, ["go.scm"]),
    row!(
        Java,
        "java",
        Java,
        ["java"],
        tree_sitter_java::LANGUAGE,
        ["java.scm"]
    ),
    row!(C, "c", C, ["c", "h"], tree_sitter_c::LANGUAGE, ["c.scm"]),
    row!(
        Cpp,
        "c++",
        C,
        ["cc", "cpp", "cxx", "hh", "hpp", "hxx", "ipp"],
        tree_sitter_cpp::LANGUAGE,
        ["c.scm", "cpp.scm"]
    ),
    row!(
        Ruby,
        "ruby",
        Ruby,
        ["rb", "rake"],
        tree_sitter_ruby::LANGUAGE,
        ["ruby.scm"]
    ),
    row!(
        Bash,
        "bash",
        Bash,
        ["sh", "bash"],
        tree_sitter_bash::LANGUAGE,
        ["bash.scm"]
    ),
    row!(
        Json,
        "json",
        Data,
        ["json"],
        tree_sitter_json::LANGUAGE,
        ["json.scm"]
    ),
    row!(
        Toml,
        "toml",
        Data,
        ["toml"],
        tree_sitter_toml_ng::LANGUAGE,
        ["toml.scm"]
    ),
    row!(
        Yaml,
        "yaml",
        Data,
        ["yaml", "yml"],
        tree_sitter_yaml::LANGUAGE,
        ["yaml.scm"]
    ),
    row!(
        Markdown,
        "markdown",
        Data,
        ["md", "markdown"],
        tree_sitter_md::LANGUAGE,
        ["markdown.scm"]
    ),
    row!(
        Html,
        "html",
        Data,
        ["html", "htm"],
        tree_sitter_html::LANGUAGE,
        ["html.scm"]
    ),
    row!(
        Css,
        "css",
        Data,
        ["css"],
        tree_sitter_css::LANGUAGE,
        ["css.scm"]
    ),
];

impl Language {
    /// The language of a file, from its name and how it begins.
    pub fn of(path: &str, text: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some((_, extension)) = name.rsplit_once('.') else {
            return of_first_line(text);
        };
        let extension = extension.to_ascii_lowercase();
        let row = ROWS
            .iter()
            .find(|row| row.extensions.contains(&extension.as_str()))?;
        let is_header_of_classes = extension == "h"
            && text.lines().any(|line| {
                ["class ", "namespace ", "template"]
                    .iter()
                    .any(|word| line.trim_start().starts_with(word))
            });
        Some(if is_header_of_classes {
            Self::Cpp
        } else {
            row.language
        })
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub(crate) fn family(self) -> Family {
        self.row().family
    }

    pub(crate) fn grammar(self) -> tree_sitter::Language {
        self.row().grammar.into()
    }

    /// Made when first asked for; `None` never happens with the queries of this crate, which a test proves.
    pub(crate) fn query(self) -> Option<&'static Query> {
        let row = self.row();
        let made = row
            .query
            .get_or_init(|| Query::new(&self.grammar(), &row.queries.concat()));
        made.as_ref().ok()
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

/// Scripts without an ending say what they are in their first line.
fn of_first_line(text: &str) -> Option<Language> {
    let line = text.lines().next()?.strip_prefix("#!")?;
    let program = line
        .split([' ', '/'])
        .rfind(|word| !word.is_empty() && !word.starts_with('-'))?;
    match program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "sh" | "bash" | "dash" => Some(Language::Bash),
        "python" => Some(Language::Python),
        "ruby" => Some(Language::Ruby),
        "node" => Some(Language::JavaScript),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_in_its_row_and_its_query_is_understood() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.language as usize, at, "{}", row.name);
            if let Err(error) = Query::new(&row.grammar.into(), &row.queries.concat()) {
                panic!("{}: {error}", row.name);
            }
        }
    }

    #[test]
    fn a_file_is_known_by_its_ending_or_its_first_line() {
        let of = |path, text| Language::of(path, text).map(Language::name);
        assert_eq!(of("a/b.RS", ""), Some("rust"));
        assert_eq!(of("a.h", "int f(void);"), Some("c"));
        assert_eq!(of("a.h", "namespace a {\n}"), Some("c++"));
        assert_eq!(of("bin/run", "#!/usr/bin/env python3\n"), Some("python"));
        assert_eq!(of("bin/run", "#!/bin/sh -e\n"), Some("bash"));
        assert_eq!(of("bin/run", "text"), None);
        assert_eq!(of("a.png", ""), None);
    }
}
