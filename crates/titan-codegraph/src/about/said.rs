//! What a file says of itself in words for people: the documentation of a module, the comment that it begins with, a
//! description among its keys, or the first paragraph of a text.

use crate::facts::{FileFacts, Symbol, SymbolKind};
use crate::languages::{Family, Language};
use serde::Deserialize;

/// Bytes of a file that are looked through for what it says of itself.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of what a file says of itself that are read for words.
const SAID_BYTES_MAX: usize = 2 << 10;
/// Words of a title at most, where nothing marks it as one.
const TITLE_WORDS_MAX: usize = 2;
/// The longest summary, in characters.
pub(super) const SUMMARY_CHARS_MAX: usize = 120;

/// Paragraphs with one of these, in lower case, are about rights and not about the file.
const OF_RIGHTS: &[&str] = &[
    "copyright",
    "spdx-",
    "all rights reserved",
    "licensed under",
    "license at",
    "permission is hereby",
    "redistribution and use",
    "this file is part of",
    "subject to the terms",
    "governed by a",
    "without warranty",
    "public domain",
];

/// Lines that begin with one of these are for programs that read the file.
const FOR_PROGRAMS: &[&str] = &[
    "$schema",
    "+build",
    "-*-",
    "<reference",
    "@flow",
    "@format",
    "@generated",
    "@jsx",
    "@ts-",
    "biome-",
    "clang-format",
    "coding:",
    "deno-lint",
    "encoding:",
    "eslint",
    "flake8",
    "frozen_string_literal",
    "go:build",
    "go:generate",
    "istanbul",
    "jshint",
    "mypy:",
    "nolint",
    "noqa",
    "prettier-",
    "pylint:",
    "rubocop",
    "ruff:",
    "shellcheck",
    "sourceMappingURL",
    "stylelint",
    "type: ignore",
    "typed:",
    "vi:",
    "vim:",
    "yaml-language-server",
];

/// What a file says of itself.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What it calls itself; empty where that is not said apart.
    pub(super) title: String,
    /// Paragraphs, with an empty line between; empty where it says nothing.
    pub(super) text: String,
}

impl Said {
    fn of(text: String) -> Self {
        Self {
            title: String::new(),
            text,
        }
    }
}

/// What a file says of itself.
pub(super) fn said(facts: &FileFacts, text: &str) -> Said {
    let head = &text[..text.floor_char_boundary(HEAD_BYTES_MAX)];
    let head = head.trim_start_matches('\u{feff}');
    let comments = || Said::of(of_comments(head, facts));
    let said = match facts.language {
        Language::Rust => of_rust(head).map_or_else(comments, Said::of),
        Language::Python => docstring(head).map_or_else(comments, Said::of),
        Language::Json => of_json(text),
        Language::Toml => of_keys(head, " = ").unwrap_or_else(comments),
        Language::Yaml => of_keys(head, ": ").unwrap_or_else(comments),
        Language::Markdown => of_markdown(head),
        Language::Html => of_html(head),
        _ => comments(),
    };
    let cleaned = |text: &str| {
        let text = crate::history::clean(text);
        plain(&text[..text.floor_char_boundary(SAID_BYTES_MAX)])
    };
    Said {
        title: cleaned(said.title.lines().next().unwrap_or_default()),
        text: paragraphs(&cleaned(&said.text)).join("\n\n"),
    }
}

/// The first sentence of what is said, behind the title, within [`SUMMARY_CHARS_MAX`].
pub(super) fn summary(said: &Said) -> String {
    let mut paragraphs = said.text.split("\n\n").filter(|it| !it.is_empty());
    let first = paragraphs.next().map_or("", sentence);
    // One or two words are a title, and say too little alone.
    let is_title = said.title.is_empty() && first.split(' ').count() <= TITLE_WORDS_MAX;
    let (title, sentence) = match paragraphs.next().filter(|_| is_title) {
        Some(next) => (first, sentence(next)),
        None => (said.title.trim(), first),
    };
    let title = title.trim_end_matches(['.', ':', ' ']);
    let whole = match (title.is_empty(), sentence.is_empty()) {
        (true, _) => sentence.to_owned(),
        (false, true) => title.to_owned(),
        (false, false) => format!("{title}: {sentence}"),
    };
    shortened(whole.trim().trim_end_matches(':'))
}

/// What is cut at the end of a word where it is longer than a summary may be.
pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= SUMMARY_CHARS_MAX {
        return text.to_owned();
    }
    let end = text.char_indices().nth(SUMMARY_CHARS_MAX - 1);
    let cut = &text[..end.map_or(text.len(), |(at, _)| at)];
    let cut = cut.rsplit_once(' ').map_or(cut, |(before, _)| before);
    format!("{}…", cut.trim_end_matches([',', ';', ':', '.', ' ', '(']))
}

/// `//!` at the beginning, behind what is said of rights.
fn of_rust(head: &str) -> Option<String> {
    let mut said = String::new();
    for line in head.lines() {
        let line = line.trim_start();
        let goes_before = line.is_empty() || line.starts_with("//") || line.starts_with("#!");
        if let Some(rest) = line.strip_prefix("//!") {
            said.push_str(rest.strip_prefix(' ').unwrap_or(rest));
            said.push('\n');
        } else if !said.is_empty() || !goes_before {
            break;
        }
    }
    (!said.trim().is_empty()).then_some(said)
}

/// The text that a Python file begins with.
fn docstring(head: &str) -> Option<String> {
    let mut rest = head;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with('#') {
            break;
        }
        rest = rest.split_once('\n')?.1;
    }
    let rest = rest.trim_start_matches(['r', 'R', 'u', 'U']);
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| rest.starts_with(quote))?;
    let inside = &rest[quote.len()..];
    let said = inside.split_once(quote).map_or(inside, |(said, _)| said);
    (!said.trim().is_empty()).then(|| said.to_owned())
}

/// The first comment that is about the file: neither about rights, nor for programs, nor about what follows at once.
fn of_comments(head: &str, facts: &FileFacts) -> String {
    let is_data = facts.language.family() == Family::Data;
    let marks: &[&str] = match facts.language {
        Language::Css => &["/*"],
        _ => match facts.language.family() {
            Family::Python | Family::Ruby | Family::Bash | Family::Data => &["#"],
            _ => &["//", "/*"],
        },
    };
    let is_of_symbol = |line: usize| {
        let mut symbols = facts.symbols.iter().take(8);
        !is_data && symbols.any(|symbol| symbol.line as usize == line)
    };
    let mut comment = String::new();
    let mut is_block = false;
    for (at, line) in head.lines().enumerate() {
        let line = line.trim();
        if at == 0 && line.starts_with("#!") {
            continue;
        }
        if is_block {
            is_block = !line.contains("*/");
            push(&mut comment, line.split("*/").next().unwrap_or_default());
            continue;
        }
        if let Some(mark) = marks.iter().find(|mark| line.starts_with(**mark)) {
            is_block = *mark == "/*" && !line.contains("*/");
            push(&mut comment, line.split("*/").next().unwrap_or_default());
            continue;
        }
        let is_about_file = line.is_empty() || !is_of_symbol(at + 1);
        if is_about_file && !paragraphs(&comment).is_empty() {
            return comment;
        }
        comment.clear();
        if !(line.is_empty() || goes_before(facts.language, line)) {
            break;
        }
    }
    comment
}

/// Adds a line of a comment without its marks.
fn push(comment: &mut String, line: &str) {
    let line = line.trim_start_matches(['/', '*', '#', '!', ';']);
    comment.push_str(line.trim());
    comment.push('\n');
}

/// What may stand before the comment that is about a file.
fn goes_before(language: Language, line: &str) -> bool {
    match language.family() {
        Family::C => line.starts_with('#'),
        Family::Script => line.starts_with("'use ") || line.starts_with("\"use "),
        Family::Java => line.starts_with("package ") || line.starts_with("import "),
        Family::Ruby => line.starts_with("require"),
        Family::Bash => line.starts_with("set "),
        Family::Data => line.starts_with("---") || line.starts_with("@charset"),
        _ => false,
    }
}

/// What the top of an object in JSON says of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Described {
    name: Option<serde_json::Value>,
    title: Option<serde_json::Value>,
    description: Option<serde_json::Value>,
}

fn of_json(text: &str) -> Said {
    let described: Described = serde_json::from_str(text).unwrap_or_default();
    let told = |value: Option<serde_json::Value>| {
        let text = value.as_ref().and_then(|value| value.as_str());
        text.unwrap_or_default().to_owned()
    };
    let text = told(described.description);
    // What a package is called says too little alone.
    let title = match (text.is_empty(), described.title) {
        (_, Some(title)) => told(Some(title)),
        (true, None) => String::new(),
        (false, None) => told(described.name),
    };
    Said { title, text }
}

/// `description = "…"` and `description: …` where files of packages and of settings have it.
fn of_keys(head: &str, between: &str) -> Option<Said> {
    let (mut title, mut text) = (String::new(), String::new());
    let mut is_told = true;
    for line in head.lines() {
        if line.starts_with('[') {
            is_told = matches!(line.trim(), "[package]" | "[project]" | "[tool.poetry]");
        }
        let is_inside = between == ": " && line.starts_with("  ") && !line.starts_with("   ");
        if !is_told || (line.starts_with(' ') && !is_inside) {
            continue;
        }
        let Some((key, value)) = line.trim().split_once(between) else {
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']);
        match key.trim() {
            "description" if text.is_empty() && !value.starts_with(['|', '>']) => {
                value.clone_into(&mut text);
            }
            "name" | "title" if title.is_empty() => value.clone_into(&mut title),
            _ => {}
        }
    }
    (!text.is_empty()).then_some(Said { title, text })
}

/// The title and the paragraphs of a text, without what is drawn, listed or quoted.
fn of_markdown(head: &str) -> Said {
    let mut said = Said::default();
    // Lists and tables end with an empty line, code with another fence.
    let (mut is_code, mut is_drawn) = (false, false);
    let mut lines = head.lines().peekable();
    if lines.next_if_eq(&"---").is_some() {
        for line in lines.by_ref().take_while(|line| *line != "---") {
            let (key, value) = line.split_once(": ").unwrap_or_default();
            let value = value.trim().trim_matches(['"', '\'']);
            match key {
                "title" | "name" if said.title.is_empty() => value.clone_into(&mut said.title),
                "description" => said.text = format!("{value}\n\n"),
                _ => {}
            }
        }
    }
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            is_code = !is_code;
        }
        let draws = line.starts_with(['|', '>', '<', '!', '-', '+', '=', '`', '~'])
            || line.starts_with("* ")
            || line.starts_with("[!");
        is_drawn = draws || (is_drawn && !line.is_empty());
        let next = lines.peek().unwrap_or(&"");
        let is_underlined = !next.is_empty() && next.trim_matches(['=', '-']).is_empty();
        if !is_code && !line.is_empty() && (line.starts_with('#') || is_underlined) {
            if said.title.is_empty() && said.text.trim().is_empty() {
                line.trim_matches(['#', ' ']).clone_into(&mut said.title);
            }
            said.text.push_str("\n\n");
        } else if !is_code && !is_drawn {
            said.text.push_str(line);
            said.text.push('\n');
        }
    }
    said
}

/// The title of a page, and its description.
fn of_html(head: &str) -> Said {
    let lower = head.to_ascii_lowercase();
    let behind = |begin: &str, end: &str| {
        let from = lower.find(begin)? + begin.len();
        let to = lower[from..].find(end).map_or(lower.len(), |at| from + at);
        Some(head[from..to].trim().to_owned())
    };
    let meta = behind("name=\"description\"", ">").unwrap_or_default();
    let content = meta
        .split_once("content=\"")
        .and_then(|(_, it)| it.split_once('"'));
    Said {
        title: behind("<title>", "<").unwrap_or_default(),
        text: content.map_or_else(String::new, |(content, _)| content.to_owned()),
    }
}

/// The paragraphs that are about the file, each in one line.
fn paragraphs(said: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = String::new();
    for line in said.lines().chain([""]) {
        let line = line.trim();
        let line = ["@fileoverview", "@file", "@packageDocumentation", "@module"]
            .iter()
            .find_map(|tag| line.strip_prefix(tag))
            .unwrap_or(line)
            .trim_start();
        // What is underlined, or framed, is so by marks alone.
        let is_end = !line.contains(|c: char| c.is_alphanumeric()) || line.starts_with('@');
        if !is_end {
            let is_for_programs = FOR_PROGRAMS.iter().any(|begin| line.starts_with(begin));
            if !is_for_programs {
                open.push_str(line);
                open.push(' ');
            }
            continue;
        }
        let paragraph = std::mem::take(&mut open);
        let lower = paragraph.to_lowercase();
        if OF_RIGHTS.iter().any(|words| lower.contains(words)) {
            // What follows in the same comment is about rights too.
            break;
        }
        if !paragraph.is_empty() {
            found.push(paragraph.trim_end().to_owned());
        }
    }
    found
}

/// The first sentence of a paragraph.
fn sentence(paragraph: &str) -> &str {
    let is_end = |at: &usize| {
        let (before, after) = paragraph.split_at(*at + 1);
        let begins = after.trim_start().chars().next();
        let is_short = ["e.g.", "i.e.", "etc.", "vs.", "cf.", "approx."]
            .iter()
            .any(|short| before.ends_with(short));
        after.starts_with(' ') && !is_short && begins.is_none_or(|c| !c.is_lowercase())
    };
    let ends = paragraph.match_indices(['.', '!', '?']);
    let end = ends.map(|(at, _)| at).find(is_end);
    end.map_or(paragraph, |at| &paragraph[..=at])
}

/// Words without the marks of Markdown and of documentation around them.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[', '*', '{']) {
        plain.push_str(&rest[..at]);
        let mark = rest.as_bytes()[at];
        let after = &rest[at + 1..];
        rest = match mark {
            b'[' => match linked(after) {
                Some((words, behind)) => {
                    plain.push_str(&words.replace('`', ""));
                    behind
                }
                None => {
                    plain.push('[');
                    after
                }
            },
            b'{' => match after.strip_prefix('@').and_then(|it| it.split_once('}')) {
                // `{@link Router}`
                Some((inside, behind)) => {
                    plain.push_str(inside.split_once(' ').map_or("", |(_, words)| words));
                    behind
                }
                None => {
                    plain.push('{');
                    after
                }
            },
            _ => after,
        };
    }
    plain.push_str(rest);
    plain
}

/// The words of `[words]` and of `[words](address)`, and what stands behind.
fn linked(after: &str) -> Option<(&str, &str)> {
    let (words, behind) = after.split_once(']')?;
    if words.contains(['[', '\n']) {
        return None;
    }
    let behind = match behind.strip_prefix('(') {
        Some(address) => address.split_once(')')?.1,
        None => behind,
    };
    Some((words, behind))
}

/// What a file tells by what it defines, where it says nothing in words.
pub(crate) fn defined(facts: &FileFacts) -> String {
    let roots = roots(facts);
    let names = |symbols: &[&Symbol]| -> String {
        let mut names: Vec<&str> = Vec::new();
        for symbol in symbols {
            if !names.contains(&&*symbol.name) {
                names.push(&symbol.name);
            }
        }
        match names.as_slice() {
            [] => String::new(),
            [one] => (*one).to_owned(),
            [one, two] => format!("{one} and {two}"),
            [one, two, three] => format!("{one}, {two} and {three}"),
            [one, two, rest @ ..] => format!("{one}, {two} and {} more", rest.len()),
        }
    };
    let (tests, mut told): (Vec<_>, Vec<_>) = roots.into_iter().partition(|it| it.is_test);
    told.sort_by_key(|symbol| (!is_exported(facts.language, symbol), order(symbol.kind)));
    let text = match facts.language {
        Language::Markdown | Language::Html => format!("sections {}", names(&told)),
        Language::Css => format!("rules for {}", names(&told)),
        _ if facts.language.family() == Family::Data => format!("keys {}", names(&told)),
        _ if told.is_empty() && !tests.is_empty() => {
            format!("{} tests: {}", tests.len(), names(&tests))
        }
        _ if told.iter().all(|it| it.kind == SymbolKind::Module) => {
            format!("brings together {}", names(&told))
        }
        _ => format!("defines {}", names(&told)),
    };
    match told.is_empty() && tests.is_empty() {
        true => String::new(),
        false => shortened(&crate::history::clean(&text)),
    }
}

/// What is said of the symbol that a file is there for: the one that it is called after, or its only one.
pub(super) fn of_main_symbol(facts: &FileFacts, path: &str) -> Option<String> {
    let roots = roots(facts);
    let told: Vec<_> = roots.iter().filter(|symbol| !symbol.is_test).collect();
    let folded = |name: &str| -> String {
        name.chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
            .to_lowercase()
    };
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = folded(file.split('.').next().unwrap_or(file));
    let types: Vec<_> = told.iter().filter(|symbol| symbol.kind.is_type()).collect();
    let has_functions = told
        .iter()
        .any(|symbol| symbol.kind == SymbolKind::Function);
    let main = told.iter().find(|symbol| folded(&symbol.name) == stem).or(
        match (types.as_slice(), told.as_slice()) {
            ([only], _) if !has_functions => Some(*only),
            (_, [only]) => Some(only),
            _ => None,
        },
    )?;
    let doc = crate::history::clean(&main.doc);
    let doc = plain(&doc);
    let doc = sentence(doc.trim());
    let is_of_rights = OF_RIGHTS
        .iter()
        .any(|words| doc.to_lowercase().contains(words));
    let is_told = doc.split(' ').count() > 1 && !is_of_rights && !doc.starts_with('@');
    is_told.then(|| match doc.starts_with(&*main.name) {
        // As Go has it.
        true => shortened(doc),
        false => shortened(&format!("{}: {doc}", main.name)),
    })
}

/// What stands in no other thing than a module.
fn roots(facts: &FileFacts) -> Vec<&Symbol> {
    let is_module = |at: u32| facts.symbols[at as usize].kind == SymbolKind::Module;
    let symbols = facts.symbols.iter();
    let has_others = facts
        .symbols
        .iter()
        .any(|symbol| symbol.kind != SymbolKind::Module && !symbol.is_test);
    symbols
        .filter(|symbol| !matches!(symbol.kind, SymbolKind::Lambda | SymbolKind::Extension))
        .filter(|symbol| symbol.owner.is_none())
        .filter(|symbol| symbol.container.is_none_or(is_module))
        .filter(|symbol| !has_others || symbol.kind != SymbolKind::Module)
        .filter(|symbol| !is_guard(symbol))
        .collect()
}

/// What keeps a header of C from being read twice.
fn is_guard(symbol: &Symbol) -> bool {
    let is_called_so = |end| symbol.name.trim_end_matches('_').ends_with(end);
    symbol.kind == SymbolKind::Constant && (is_called_so("_H") || is_called_so("_HPP"))
}

/// Types come first, then what is called.
fn order(kind: SymbolKind) -> u8 {
    match kind {
        SymbolKind::Class | SymbolKind::Interface | SymbolKind::Type => 0,
        SymbolKind::Constant => 2,
        _ => 1,
    }
}

/// Whether others are meant to use it, as its language has that said.
fn is_exported(language: Language, symbol: &Symbol) -> bool {
    match language.family() {
        Family::Rust => symbol.signature.starts_with("pub"),
        Family::Go => symbol.name.starts_with(char::is_uppercase),
        Family::Java => symbol.signature.contains("public"),
        Family::C => !symbol.signature.starts_with("static"),
        _ => !symbol.name.starts_with('_'),
    }
}
