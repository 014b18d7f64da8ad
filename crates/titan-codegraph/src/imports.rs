//! What a file takes from others, read from the text of each import.

use crate::facts::Import;
use crate::languages::{Family, Language};

/// Names that one import brings at most.
const NAMES_MAX: usize = 1_000;

/// The imports of one statement. Those of Python are read with all that it does.
pub(crate) fn read(language: Language, text: &str, line: u32) -> Vec<Import> {
    let mut found = match language.family() {
        Family::Rust => rust(text),
        Family::Script => script(text),
        Family::Go => go(text),
        Family::Java => java(text),
        Family::C => vec![whole(text.trim_matches(['<', '>', '"']), "*")],
        Family::Ruby => vec![whole(text, "*")],
        Family::Bash => vec![whole(text.trim_matches(['"', '\'']), "*")],
        Family::Python | Family::Data => Vec::new(),
    };
    found.truncate(NAMES_MAX);
    for import in &mut found {
        import.line = line;
    }
    found
}

/// A module of which everything is taken where the alias is `*`, else the module itself by that name.
fn whole(module: &str, alias: &str) -> Import {
    Import {
        module: module.trim().into(),
        name: (alias == "*").then(|| "*".into()),
        alias: alias.into(),
        line: 0,
    }
}

fn named(module: &str, name: &str, alias: &str) -> Import {
    Import {
        module: module.trim().into(),
        name: Some(name.trim().into()),
        alias: alias.trim().into(),
        line: 0,
    }
}

/// `a::{b, c as d, e::*}`, however deep.
fn rust(text: &str) -> Vec<Import> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), text.trim())];
    while let Some((prefix, rest)) = open.pop() {
        if found.len() + open.len() > NAMES_MAX {
            break;
        }
        let rest = rest.trim();
        if let Some(at) = rest.find('{') {
            let inner = rest[at + 1..].strip_suffix('}').unwrap_or(&rest[at + 1..]);
            let prefix = format!("{prefix}{}", rest[..at].trim());
            for part in apart(inner) {
                open.push((prefix.clone(), part));
            }
            continue;
        }
        let (path, alias) = match rest.split_once(" as ") {
            Some((path, alias)) => (path.trim(), Some(alias.trim())),
            None => (rest, None),
        };
        let path = format!("{prefix}{path}");
        let path = path.trim_end_matches("::self");
        let (module, name) = path.rsplit_once("::").unwrap_or(("", path));
        if !name.is_empty() {
            found.push(named(module, name, alias.unwrap_or(name)));
        }
    }
    found.reverse();
    found
}

/// The parts between commas that stand in no braces.
fn apart(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// `import a, { b as c } from "m"`, `export * from "m"` and `const { a: b } = require("m")`.
fn script(text: &str) -> Vec<Import> {
    let Some(module) = quoted(text) else {
        return Vec::new();
    };
    let head = text.split(['"', '\'']).next().unwrap_or_default();
    let head = head
        .trim_start_matches("import")
        .trim_start_matches("export")
        .trim_start()
        .trim_start_matches("type ");
    let head = head.trim().trim_end_matches("from").trim();
    let head = head.split('=').next().unwrap_or(head).trim();
    let mut found = Vec::new();
    if let (Some(from), Some(to)) = (head.find('{'), head.rfind('}')) {
        for part in head.get(from + 1..to).unwrap_or_default().split(',') {
            let part = part.trim().trim_start_matches("type ");
            let (name, alias) = part
                .split_once(" as ")
                .or_else(|| part.split_once(':'))
                .unwrap_or((part, part));
            if !name.trim().is_empty() {
                found.push(named(module, name, alias));
            }
        }
    }
    let before = head.split('{').next().unwrap_or_default();
    for part in before.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        match part.strip_prefix('*') {
            Some(rest) => match rest.trim().strip_prefix("as ") {
                Some(alias) => found.push(whole(module, alias.trim())),
                None => found.push(whole(module, "*")),
            },
            None if text.contains("require") => found.push(whole(module, part)),
            None => found.push(named(module, "default", part)),
        }
    }
    found
}

/// The last text in quotes.
fn quoted(text: &str) -> Option<&str> {
    let end = text.rfind(['"', '\''])?;
    let start = text[..end].rfind(['"', '\''])?;
    Some(&text[start + 1..end])
}

fn go(text: &str) -> Vec<Import> {
    let Some(module) = quoted(text) else {
        return Vec::new();
    };
    let before = text.split('"').next().unwrap_or_default().trim();
    let last = module.rsplit('/').next().unwrap_or(module);
    match before {
        "" => vec![whole(module, last)],
        "." => vec![whole(module, "*")],
        "_" => Vec::new(),
        alias => vec![whole(module, alias)],
    }
}

fn java(text: &str) -> Vec<Import> {
    let path = text
        .trim()
        .trim_start_matches("import")
        .trim()
        .trim_end_matches(';');
    let path = path.trim_start_matches("static ").trim();
    match path.rsplit_once('.') {
        Some((package, name)) => vec![named(package, name, name)],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(language: Language, text: &str, expected: Expect) {
        let lines = read(language, text, 1).into_iter().map(|import| {
            let name = import.name.as_deref().unwrap_or("(whole)").to_owned();
            format!("{} {name} as {}\n", import.module, import.alias)
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn every_way_to_import_is_read() {
        check(
            Language::Rust,
            "crate::a::{self, b::{C as D, e}, f::*}",
            expect![[r#"
                crate a as a
                crate::a::b C as D
                crate::a::b e as e
                crate::a::f * as *
            "#]],
        );
        check(
            Language::TypeScript,
            "import a, { type B, c as d } from './m'",
            expect![[r#"
                ./m B as B
                ./m c as d
                ./m default as a
            "#]],
        );
        check(
            Language::JavaScript,
            "{ a: b, c } = require(\"../m\")",
            expect![[r#"
                ../m a as b
                ../m c as c
            "#]],
        );
        check(
            Language::JavaScript,
            "import * as all from \"m\"",
            expect![[r#"
                m (whole) as all
            "#]],
        );
        check(
            Language::Go,
            "short \"a/b/c\"",
            expect![[r#"
                a/b/c (whole) as short
            "#]],
        );
        check(
            Language::Java,
            "import static a.b.C.d;",
            expect![[r#"
                a.b.C d as d
            "#]],
        );
    }
}
