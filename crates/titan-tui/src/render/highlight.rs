//! Colours for code in fenced blocks: comments, strings, numbers and keywords, and nothing that needs a grammar.
//!
//! It reads along with a block that is still being written, so it never looks ahead further than a line.

use super::style::{Color, Line, Span, Style};

/// What is known of a language.
struct Syntax {
    names: &'static [&'static str],
    line_comments: &'static [&'static str],
    block_comment: Option<(&'static str, &'static str)>,
    /// Marks that begin and end a string.
    quotes: &'static [char],
    /// Those of them whose strings may go on over the end of a line.
    long_quotes: &'static [char],
    keywords: &'static [&'static str],
}

const SYNTAXES: &[Syntax] = &[
    Syntax {
        names: &["rust", "rs"],
        line_comments: &["//"],
        block_comment: Some(("/*", "*/")),
        quotes: &['"', '\''],
        long_quotes: &['"'],
        keywords: &[
            "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum",
            "extern", "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod",
            "move", "mut", "pub", "ref", "return", "self", "Self", "static", "struct", "super",
            "trait", "true", "type", "unsafe", "use", "where", "while",
        ],
    },
    Syntax {
        names: &["python", "py"],
        line_comments: &["#"],
        block_comment: None,
        quotes: &['"', '\''],
        long_quotes: &[],
        keywords: &[
            "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
            "elif", "else", "except", "False", "finally", "for", "from", "global", "if", "import",
            "in", "is", "lambda", "None", "nonlocal", "not", "or", "pass", "raise", "return",
            "True", "try", "while", "with", "yield",
        ],
    },
    Syntax {
        names: &["javascript", "js", "jsx", "typescript", "ts", "tsx", "mjs"],
        line_comments: &["//"],
        block_comment: Some(("/*", "*/")),
        quotes: &['"', '\'', '`'],
        long_quotes: &['`'],
        keywords: &[
            "any",
            "as",
            "async",
            "await",
            "boolean",
            "break",
            "case",
            "catch",
            "class",
            "const",
            "continue",
            "default",
            "delete",
            "do",
            "else",
            "enum",
            "export",
            "extends",
            "false",
            "finally",
            "for",
            "from",
            "function",
            "if",
            "implements",
            "import",
            "in",
            "instanceof",
            "interface",
            "let",
            "new",
            "null",
            "number",
            "of",
            "return",
            "static",
            "string",
            "super",
            "switch",
            "this",
            "throw",
            "true",
            "try",
            "type",
            "typeof",
            "undefined",
            "var",
            "void",
            "while",
            "yield",
        ],
    },
    Syntax {
        names: &["go", "golang"],
        line_comments: &["//"],
        block_comment: Some(("/*", "*/")),
        quotes: &['"', '\'', '`'],
        long_quotes: &['`'],
        keywords: &[
            "break",
            "case",
            "chan",
            "const",
            "continue",
            "default",
            "defer",
            "else",
            "fallthrough",
            "false",
            "for",
            "func",
            "go",
            "goto",
            "if",
            "import",
            "interface",
            "map",
            "nil",
            "package",
            "range",
            "return",
            "select",
            "struct",
            "switch",
            "true",
            "type",
            "var",
        ],
    },
    Syntax {
        names: &["c", "h", "cpp", "c++", "cc", "hpp"],
        line_comments: &["//"],
        block_comment: Some(("/*", "*/")),
        quotes: &['"', '\''],
        long_quotes: &[],
        keywords: &[
            "auto",
            "bool",
            "break",
            "case",
            "char",
            "class",
            "const",
            "continue",
            "default",
            "delete",
            "do",
            "double",
            "else",
            "enum",
            "extern",
            "false",
            "float",
            "for",
            "goto",
            "if",
            "inline",
            "int",
            "long",
            "namespace",
            "new",
            "nullptr",
            "private",
            "public",
            "return",
            "short",
            "signed",
            "sizeof",
            "static",
            "struct",
            "switch",
            "template",
            "this",
            "true",
            "typedef",
            "typename",
            "union",
            "unsigned",
            "using",
            "virtual",
            "void",
            "volatile",
            "while",
        ],
    },
    Syntax {
        names: &["sh", "bash", "shell", "zsh", "console"],
        line_comments: &["#"],
        block_comment: None,
        quotes: &['"', '\''],
        long_quotes: &['"', '\''],
        keywords: &[
            "case", "do", "done", "elif", "else", "esac", "export", "fi", "for", "function", "if",
            "in", "local", "return", "then", "until", "while",
        ],
    },
    Syntax {
        names: &["json", "jsonc", "jsonl"],
        line_comments: &["//"],
        block_comment: None,
        quotes: &['"'],
        long_quotes: &[],
        keywords: &["false", "null", "true"],
    },
    Syntax {
        names: &["toml", "yaml", "yml", "ini"],
        line_comments: &["#"],
        block_comment: None,
        quotes: &['"', '\''],
        long_quotes: &[],
        keywords: &["false", "null", "true"],
    },
];

const COMMENT: Style = Style {
    dim: true,
    italic: true,
    ..Style::PLAIN
};
const STRING: Style = Style::color(Color::Green);
const NUMBER: Style = Style::color(Color::Yellow);
const KEYWORD: Style = Style::color(Color::Magenta);
/// Code in a language that is not known.
const CODE: Style = Style::color(Color::Cyan);

/// The lines of cleaned code in the language that its fence names; in one colour where that is not known.
pub fn highlight(language: &str, code: &str) -> Vec<Line> {
    let name = language
        .split([' ', ',', '{'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let syntax = SYNTAXES
        .iter()
        .find(|syntax| syntax.names.contains(&name.as_str()));
    let mut painter = Painter {
        lines: vec![Line::default()],
    };
    match syntax {
        None => painter.put(code, CODE),
        Some(syntax) => paint(syntax, code, &mut painter),
    }
    painter.lines
}

fn paint(syntax: &Syntax, code: &str, painter: &mut Painter) {
    let mut rest = code;
    let mut before = '\n';
    while let Some(first) = rest.chars().next() {
        let (length, style) = token(syntax, rest, before, first);
        let (text, after) = rest.split_at(length);
        painter.put(text, style);
        before = text.chars().next_back().unwrap_or(before);
        rest = after;
    }
}

/// How many bytes the next token has, at least one character, and how it looks.
fn token(syntax: &Syntax, rest: &str, before: char, first: char) -> (usize, Style) {
    // A number sign inside a word, as in `a#b` or `$#`, begins no comment.
    let may_comment = |mark: &str| mark != "#" || before.is_whitespace();
    let is_comment = |mark: &&&str| rest.starts_with(**mark) && may_comment(mark);
    if syntax.line_comments.iter().find(is_comment).is_some() {
        return (rest.find('\n').unwrap_or(rest.len()), COMMENT);
    }
    if let Some((start, end)) = syntax.block_comment
        && let Some(inside) = rest.strip_prefix(start)
    {
        let length = inside
            .find(end)
            .map_or(rest.len(), |at| start.len() + at + end.len());
        return (length, COMMENT);
    }
    if syntax.quotes.contains(&first) {
        return match string_length(syntax, rest, first) {
            Some(length) => (length, STRING),
            None => (first.len_utf8(), Style::PLAIN),
        };
    }
    if first.is_ascii_digit() {
        let is_of_number = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        return (run(rest, is_of_number), NUMBER);
    }
    if is_of_word(first) {
        let length = run(rest, is_of_word);
        let is_keyword = syntax.keywords.contains(&&rest[..length]);
        return (length, if is_keyword { KEYWORD } else { Style::PLAIN });
    }
    (first.len_utf8(), Style::PLAIN)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn run(rest: &str, is_part: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !is_part(c)).unwrap_or(rest.len())
}

/// The string at the beginning with its quotes; `None` where the mark begins none, as that of a lifetime.
fn string_length(syntax: &Syntax, rest: &str, quote: char) -> Option<usize> {
    let is_long = syntax.long_quotes.contains(&quote);
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\n' if !is_long => return (quote != '\'').then_some(at),
            c if c == quote => return Some(at + c.len_utf8()),
            // In Rust, a single quote holds one character; otherwise it marks a lifetime.
            _ if quote == '\'' && is_rust(syntax) && at > 4 => return None,
            _ => {}
        }
    }
    (quote != '\'' || is_long).then_some(rest.len())
}

fn is_rust(syntax: &Syntax) -> bool {
    syntax.names.contains(&"rust")
}

struct Painter {
    lines: Vec<Line>,
}

impl Painter {
    fn put(&mut self, text: &str, style: Style) {
        for (idx, piece) in text.split('\n').enumerate() {
            if idx > 0 {
                self.lines.push(Line::default());
            }
            if let Some(line) = self.lines.last_mut() {
                line.push(Span::new(piece.replace('\t', "    "), style));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each span with a letter for its colour.
    fn check(language: &str, code: &str, expected: &str) {
        let marked = |line: Line| -> String {
            let spans = line.0.iter().map(|span| {
                let mark = match span.style {
                    COMMENT => "c",
                    STRING => "s",
                    NUMBER => "n",
                    KEYWORD => "k",
                    CODE => "?",
                    _ => return span.text.clone(),
                };
                format!("{mark}<{}>", span.text)
            });
            spans.collect()
        };
        let lines: Vec<String> = highlight(language, code).into_iter().map(marked).collect();
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn comments_strings_numbers_and_keywords_are_told_apart() {
        check(
            "rust",
            "fn f<'a>(x: &'a str) -> char { 'x' } // 1\nlet s = \"a\nb\";",
            "k<fn> f<'a>(x: &'a str) -> char { s<'x'> } c<// 1>\nk<let> s = s<\"a>\ns<b\">;",
        );
        check("py", "x = 0x1f # no", "x = n<0x1f> c<# no>");
        check(
            "sh",
            "if a#b; then echo \"$x\"; fi",
            "k<if> a#b; k<then> echo s<\"$x\">; k<fi>",
        );
        check(
            "json",
            "{\"a\": [1.5, null]}",
            "{s<\"a\">: [n<1.5>, k<null>]}",
        );
        check("toml", "a = 'b' # c", "a = s<'b'> c<# c>");
        check(
            "ts",
            "/* a\nb */ const x = `y`",
            "c</* a>\nc<b */> k<const> x = s<`y`>",
        );
        check("unheard-of", "if x", "?<if x>");
    }

    #[test]
    fn every_beginning_of_a_text_keeps_its_letters() {
        let code = "fn a() { \"b\\\"\" /* c */ 'd' '\\'' 12 } // é日\n#x\t'";
        for (end, _) in code.char_indices() {
            for syntax in SYNTAXES {
                let lines = highlight(syntax.names[0], &code[..end]);
                let text: Vec<String> = lines.iter().map(Line::text).collect();
                assert_eq!(text.join("\n"), code[..end].replace('\t', "    "));
            }
        }
    }
}
