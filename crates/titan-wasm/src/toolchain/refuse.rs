//! What no tool's source may name, whatever it is good for: a second wall before the compiler, which reaches nothing of the
//! machine anyway. Pure.

/// Names that reach a file or a variable of the machine that compiles, or go around the language.
const REFUSED: [&str; 9] = [
    "include",
    "include_str",
    "include_bytes",
    "env",
    "option_env",
    "asm",
    "global_asm",
    "naked_asm",
    "extern",
];
/// Names that no attribute may hold.
const REFUSED_IN_ATTRIBUTES: [&str; 7] = [
    "global_allocator",
    "path",
    "feature",
    "link",
    "no_mangle",
    "export_name",
    "link_section",
];

/// # Errors
/// The first line that names what may not be named.
pub(super) fn check(source: &str) -> Result<(), String> {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
    };
    // How deep the brackets of an attribute are; none outside of one.
    let mut depth = 0;
    let mut before = ' ';
    while let Some(token) = lexer.next() {
        match token {
            Token::Word(word) => {
                let word = word.strip_prefix("r#").unwrap_or(word);
                let is_refused =
                    REFUSED.contains(&word) || (depth > 0 && REFUSED_IN_ATTRIBUTES.contains(&word));
                if is_refused {
                    return Err(format!(
                        "tool.rs:{}: `{word}` may not be used in a tool: it reaches no files, no environment and no foreign code. \
                         Give it what it needs as input.",
                        lexer.line
                    ));
                }
                before = 'w';
            }
            Token::Sign('[') if depth > 0 || before == '#' => {
                depth += 1;
                before = '[';
            }
            Token::Sign(']') if depth > 0 => {
                depth -= 1;
                before = ']';
            }
            // `#![…]` is an attribute too.
            Token::Sign('!') if before == '#' => {}
            Token::Sign(sign) => before = sign,
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Sign(char),
}

/// Words and signs of Rust; comments, texts and characters are passed over.
struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            if self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.skip(comment(self.rest));
            } else if let Some(length) = raw_text(self.rest) {
                self.skip(length);
            } else if first == '"' {
                self.skip(text(self.rest, '"'));
            } else if first == '\'' {
                self.skip(character(self.rest));
            } else if is_word(first) {
                let raw = if self.rest.starts_with("r#") { 2 } else { 0 };
                let length = raw
                    + self.rest[raw..]
                        .find(|c: char| !is_word(c))
                        .unwrap_or(self.rest.len() - raw);
                // `b"…"` and its kin: the letter belongs to the text.
                let word = &self.rest[..length];
                self.rest = &self.rest[length..];
                return Some(Token::Word(word));
            } else {
                self.skip(first.len_utf8());
                if !first.is_whitespace() {
                    return Some(Token::Sign(first));
                }
            }
        }
    }

    fn skip(&mut self, length: usize) {
        let (passed, rest) = self.rest.split_at(length);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The length of a comment that may hold others.
fn comment(source: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < source.len() {
        if source[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if source[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += source[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    source.len()
}

/// The length of a text in which `\` hides the next character.
fn text(source: &str, end: char) -> usize {
    let mut is_hidden = false;
    for (at, c) in source.char_indices().skip(1) {
        if !is_hidden && c == end {
            return at + c.len_utf8();
        }
        is_hidden = !is_hidden && c == '\\';
    }
    source.len()
}

/// The length of `r"…"`, `r#"…"#` and their kin with `b` and `c`, if that is what is here.
fn raw_text(source: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"]
        .into_iter()
        .find(|prefix| source.starts_with(prefix))?;
    let rest = &source[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let inner = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = prefix.len() + hashes + 1;
    Some(
        inner
            .find(&end)
            .map_or(source.len(), |at| start + at + end.len()),
    )
}

/// The length of a character, or of the sign before a lifetime's name.
fn character(source: &str) -> usize {
    let mut chars = source.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => text(source, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s24_what_reaches_the_machine_is_refused_with_its_line_however_it_is_written() {
        for (source, line, word) in [
            (
                "fn run() {\n  include_str!(\"/etc/passwd\")\n}",
                2,
                "include_str",
            ),
            ("use std::include_bytes as x;", 1, "include_bytes"),
            (
                "macro_rules! m { ($i:ident) => { $i!(\"a\") } }\nm!(include);",
                2,
                "include",
            ),
            ("const A: &str = env!(\"HOME\");", 1, "env"),
            ("std :: r#option_env ! (\"A\")", 1, "option_env"),
            ("/* \n */ core::arch::asm!(\"\")", 2, "asm"),
            ("extern \"C\" { fn a(); }", 1, "extern"),
            ("#[path = \"/etc/passwd\"]\nmod a;", 1, "path"),
            ("# ! [ feature(x) ]", 1, "feature"),
            ("#[cfg_attr(all(), path = \"x\")] mod a;", 1, "path"),
            ("let q = '\"'; include!(\"a\")", 1, "include"),
            ("let q = r\"\\\"; include!(\"a\")", 1, "include"),
            ("let q = '\\''; include!(\"a\")", 1, "include"),
            ("fn a<'a>(x: &'a str) { include!(\"'\") }", 1, "include"),
            ("/* a /* b */ include!() */ env!()", 1, "env"),
        ] {
            let refused = check(source).expect_err(source);
            assert!(
                refused.starts_with(&format!("tool.rs:{line}: `{word}`")),
                "{source}: {refused}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_it_is_none() {
        for source in [
            "// include!(\"a\")\nfn run() {}",
            "let s = \"include!(env!)\"; let t = r#\"asm \" extern\"#; let b = b\"env\";",
            "let path = a[0]; let feature = path[1];",
            "let environment = included; let c = 'e'; let d: &'static str = \"\";",
            "#[derive(Clone)] struct A; #[inline] fn link() {}",
            "",
        ] {
            assert_eq!(check(source), Ok(()), "{source}");
        }
    }
}
