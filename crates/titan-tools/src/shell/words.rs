//! What the words of a shell script are before the script runs: known texts, patterns, or unknown. Also finds the
//! scripts hidden inside words. Pure; runs nothing, expands nothing that depends on the world.
//!
//! Where a word could mean two things, the answer is the more careful one: an unknown word is never taken for a
//! harmless argument, and a word that can't be taken apart makes the whole script opaque.

use brush_parser::{ParserOptions, ast, parse_tokens, uncached_tokenize_str};

/// Longer scripts are not taken apart, in bytes.
const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Brackets and keywords that open something, and substitutions, in one script. Bounds the parser's recursion.
const OPENERS_MAX: usize = 96;
/// Closing brackets that are tried as the end of one substitution.
const CLOSERS_TRIED_MAX: usize = 32;
/// Words that one word with braces may become.
const BRACE_WORDS_MAX: usize = 64;

/// A script or word that can't be taken apart; what it does is unknown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opaque;

/// What is known of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its text, exactly.
    Known,
    /// A path below the person's home; the text begins with `~`.
    Home,
    /// A pattern over file names.
    Pattern,
    /// Nothing; the text is the source.
    Unknown,
}

/// An argument, as far as it is known before the script runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) text: String,
    pub(super) kind: Kind,
}

impl Argument {
    pub(super) fn known(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Known,
        }
    }

    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: Kind::Unknown,
        }
    }

    /// The text, when it is exactly known.
    pub(super) fn as_known(&self) -> Option<&str> {
        (self.kind == Kind::Known).then_some(self.text.as_str())
    }

    /// Whether it may turn out to be an option, or several arguments, when the script runs.
    pub(super) fn may_be_option(&self) -> bool {
        match self.kind {
            Kind::Known | Kind::Home => false,
            Kind::Pattern => self.text.starts_with(['*', '?', '[', '-']),
            Kind::Unknown => true,
        }
    }
}

/// A word taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// What it becomes: several when it has braces.
    pub(super) arguments: Vec<Argument>,
    /// Scripts that run while it is expanded.
    pub(super) scripts: Vec<String>,
}

/// Parses a script as `bash -c` would.
pub(super) fn parse(script: &str) -> Result<ast::Program, Opaque> {
    if script.len() > SCRIPT_BYTES_MAX || script.chars().any(is_deceptive) {
        return Err(Opaque);
    }
    let options = ParserOptions {
        enable_extended_globbing: false,
        ..ParserOptions::default()
    };
    let nested = substitutions(script);
    if nested > OPENERS_MAX || entangles_here_document(script) {
        return Err(Opaque);
    }
    let tokens =
        uncached_tokenize_str(script, &options.tokenizer_options()).map_err(|_error| Opaque)?;
    let openers = tokens.iter().filter(|token| opens(token.to_str())).count();
    if openers > OPENERS_MAX {
        return Err(Opaque);
    }
    parse_tokens(&tokens, &options).map_err(|_error| Opaque)
}

/// Characters that shells and people read differently.
fn is_deceptive(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || (c.is_whitespace() && !c.is_ascii())
}

/// Whether a here-document may begin within a substitution, or a substitution on a here-document's first line. The
/// tokenizer does not end on some such scripts when they are unfinished, so none of them is taken apart.
fn entangles_here_document(script: &str) -> bool {
    let masked = script.replace("<<<", "   ");
    let Some(last) = masked.rfind("<<") else {
        return false;
    };
    let (before, after) = masked.split_at(last + 2);
    let line = after.split('\n').next().unwrap_or_default();
    let mark = line.trim_start_matches(['-', ' ', '\t']);
    let rest = ['\'', '"']
        .iter()
        .find_map(|quote| Some(mark.strip_prefix(*quote)?.split_once(*quote)?.1))
        .unwrap_or(mark);
    substitutions(before) > 0 || rest.contains(['\'', '"', '\\', '$', '`', '(', '<'])
}

fn substitutions(script: &str) -> usize {
    script
        .as_bytes()
        .windows(2)
        .filter(|pair| {
            matches!(
                *pair,
                [b'`', _] | [b'$', b'(' | b'{' | b'['] | [b'<' | b'>' | b'(', b'(']
            )
        })
        .count()
}

fn opens(token: &str) -> bool {
    matches!(
        token,
        "(" | "{"
            | "[["
            | "if"
            | "elif"
            | "while"
            | "until"
            | "for"
            | "case"
            | "function"
            | "coproc"
            | "!"
            | "time"
    )
}

/// Takes a word apart.
pub(super) fn scan(word: &str) -> Result<Scanned, Opaque> {
    let mut scanner = Scanner::new(word);
    scanner.span(Span::Word)?;
    let arguments = scanner.arguments(word);
    Ok(Scanned {
        arguments,
        scripts: scanner.scripts,
    })
}

/// Finds what runs while a here-document's text is expanded.
pub(super) fn scan_here_document(text: &str) -> Result<Scanned, Opaque> {
    let mut scanner = Scanner::new(text);
    scanner.span(Span::HereDocument)?;
    Ok(Scanned {
        arguments: Vec::new(),
        scripts: scanner.scripts,
    })
}

/// Where the scanner is, which decides what ends the span and what is special in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Word,
    DoubleQuotes,
    HereDocument,
    Braces { quoted: bool },
}

impl Span {
    fn is_quoted(self) -> bool {
        matches!(
            self,
            Self::DoubleQuotes | Self::HereDocument | Self::Braces { quoted: true }
        )
    }

    fn end(self) -> Option<char> {
        match self {
            Self::Word | Self::HereDocument => None,
            Self::DoubleQuotes => Some('"'),
            Self::Braces { .. } => Some('}'),
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
    /// Literal characters, each with whether it was quoted.
    literal: Vec<(char, bool)>,
    is_unknown: bool,
    scripts: Vec<String>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            literal: Vec::new(),
            is_unknown: false,
            scripts: Vec::new(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn skip_if(&mut self, wanted: char) -> bool {
        let is_there = self.peek() == Some(wanted);
        if is_there {
            self.take();
        }
        is_there
    }

    fn span(&mut self, span: Span) -> Result<(), Opaque> {
        while let Some(c) = self.take() {
            if Some(c) == span.end() {
                return Ok(());
            }
            match c {
                '\\' => self.escape(span)?,
                '\'' if !span.is_quoted() => self.single_quotes()?,
                '"' if span != Span::HereDocument => self.span(Span::DoubleQuotes)?,
                '`' => self.backquotes(span)?,
                '$' => self.dollar(span)?,
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')'
                    if span == Span::Word =>
                {
                    return Err(Opaque);
                }
                c => self.literal.push((c, span.is_quoted())),
            }
        }
        match span.end() {
            None => Ok(()),
            Some(_) => Err(Opaque),
        }
    }

    fn escape(&mut self, span: Span) -> Result<(), Opaque> {
        let c = self.take().ok_or(Opaque)?;
        if span.is_quoted() && !matches!(c, '$' | '`' | '"' | '\\' | '\n') {
            self.literal.push(('\\', true));
        }
        if c != '\n' {
            self.literal.push((c, true));
        }
        Ok(())
    }

    fn single_quotes(&mut self) -> Result<(), Opaque> {
        let end = self.rest.find('\'').ok_or(Opaque)?;
        self.literal
            .extend(self.rest[..end].chars().map(|c| (c, true)));
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    fn backquotes(&mut self, span: Span) -> Result<(), Opaque> {
        let mut script = String::new();
        loop {
            match self.take().ok_or(Opaque)? {
                '`' => break,
                '\\' => {
                    let c = self.take().ok_or(Opaque)?;
                    let is_escape = matches!(c, '`' | '\\' | '$') || (c == '"' && span.is_quoted());
                    if !is_escape {
                        script.push('\\');
                    }
                    script.push(c);
                }
                c => script.push(c),
            }
        }
        self.scripts.push(script);
        self.is_unknown = true;
        Ok(())
    }

    fn dollar(&mut self, span: Span) -> Result<(), Opaque> {
        match self.peek() {
            Some('\'') if !span.is_quoted() => self.ansi_quotes(),
            Some('"') if !span.is_quoted() => {
                self.take();
                self.is_unknown = true;
                self.span(Span::DoubleQuotes)
            }
            Some('(') if self.rest.starts_with("((") => self.arithmetic(),
            Some('(') => self.substitution(),
            Some('[') => Err(Opaque),
            Some('{') => {
                self.take();
                self.is_unknown = true;
                self.parameter(span)
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                let end = self.rest.find(|c| !is_name_char(c));
                self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
                self.is_unknown = true;
                Ok(())
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.take();
                self.is_unknown = true;
                Ok(())
            }
            _ => {
                self.literal.push(('$', span.is_quoted()));
                Ok(())
            }
        }
    }

    fn ansi_quotes(&mut self) -> Result<(), Opaque> {
        self.take();
        self.is_unknown = true;
        loop {
            match self.take().ok_or(Opaque)? {
                '\\' => {
                    self.take().ok_or(Opaque)?;
                }
                '\'' => return Ok(()),
                _ => {}
            }
        }
    }

    /// `$((…))`: figures alone are harmless; names are evaluated, contents and all.
    fn arithmetic(&mut self) -> Result<(), Opaque> {
        let mut depth = 0_usize;
        let end = self.rest.char_indices().find_map(|(position, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(position + 1)
        });
        let (expression, rest) = self.rest.split_at(end.ok_or(Opaque)?);
        self.rest = rest;
        self.is_unknown = true;
        let is_plain = expression
            .chars()
            .all(|c| c.is_ascii_digit() || "+-*/%()<>=!&|^~?: ".contains(c));
        if is_plain { Ok(()) } else { Err(Opaque) }
    }

    /// `$(…)`: ends at the first bracket with which the parser sees one whole subshell, whatever quotes, comments and
    /// here-documents it holds.
    fn substitution(&mut self) -> Result<(), Opaque> {
        self.take();
        self.is_unknown = true;
        let end = self
            .rest
            .match_indices(')')
            .take(CLOSERS_TRIED_MAX)
            .map(|(position, _)| position)
            .find(|position| is_whole_subshell(&self.rest[..*position]))
            .ok_or(Opaque)?;
        self.scripts.push(self.rest[..end].to_owned());
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    /// `${…}` after its opening brace.
    fn parameter(&mut self, span: Span) -> Result<(), Opaque> {
        if self.peek() == Some('!') {
            return Err(Opaque);
        }
        if self.rest.starts_with('#') && !self.rest.starts_with("#}") {
            self.take();
        }
        let name_end = self
            .rest
            .find(|c| !is_name_char(c))
            .filter(|end| *end > 0)
            .or_else(|| {
                self.rest
                    .starts_with(['@', '*', '#', '?', '-', '$'])
                    .then_some(1)
            })
            .ok_or(Opaque)?;
        self.rest = &self.rest[name_end..];
        self.index()?;
        let operator = self.peek().ok_or(Opaque)?;
        match operator {
            '}' => {
                self.take();
                Ok(())
            }
            '-' | '+' | '?' | '%' | '#' | '/' | '^' | ',' => self.discard_to_brace(span),
            ':' if self.rest.starts_with(":-")
                || self.rest.starts_with(":+")
                || self.rest.starts_with(":?") =>
            {
                self.discard_to_brace(span)
            }
            ':' => self.substring(),
            _ => Err(Opaque),
        }
    }

    /// `[@]`, `[*]` or `[3]`; any other index is evaluated.
    fn index(&mut self) -> Result<(), Opaque> {
        if !self.skip_if('[') {
            return Ok(());
        }
        let end = self.rest.find(']').ok_or(Opaque)?;
        let index = &self.rest[..end];
        let is_plain = matches!(index, "@" | "*") || index.chars().all(|c| c.is_ascii_digit());
        if !is_plain {
            return Err(Opaque);
        }
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    fn substring(&mut self) -> Result<(), Opaque> {
        let end = self.rest.find('}').ok_or(Opaque)?;
        let is_plain = self.rest[..end]
            .chars()
            .all(|c| c.is_ascii_digit() || ": -".contains(c));
        self.rest = &self.rest[end + 1..];
        if is_plain { Ok(()) } else { Err(Opaque) }
    }

    fn discard_to_brace(&mut self, span: Span) -> Result<(), Opaque> {
        self.span(Span::Braces {
            quoted: span.is_quoted(),
        })
    }

    fn arguments(&self, source: &str) -> Vec<Argument> {
        let braces = self.literal.iter().filter(|c| **c == ('{', false)).count();
        if self.is_unknown || braces > BRACE_WORDS_MAX {
            return vec![Argument::unknown(source)];
        }
        match expand_braces(&self.literal) {
            Some(words) => words.iter().map(|word| argument(word, source)).collect(),
            None => vec![Argument::unknown(source)],
        }
    }
}

fn is_name_char(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn is_whole_subshell(inner: &str) -> bool {
    if inner.trim().is_empty() {
        return true;
    }
    let Ok(program) = parse(&format!("( {inner})")) else {
        return false;
    };
    let [list] = program.complete_commands.as_slice() else {
        return false;
    };
    let [ast::CompoundListItem(and_or, _)] = list.0.as_slice() else {
        return false;
    };
    let is_alone =
        and_or.additional.is_empty() && and_or.first.timed.is_none() && !and_or.first.bang;
    let is_subshell = matches!(
        and_or.first.seq.as_slice(),
        [ast::Command::Compound(
            ast::CompoundCommand::Subshell(_),
            None
        )]
    );
    is_alone && is_subshell
}

fn argument(word: &[(char, bool)], source: &str) -> Argument {
    let text: String = word.iter().map(|(c, _)| *c).collect();
    let is_special = |c: char| matches!(c, '*' | '?' | '[');
    let bracket = word.iter().position(|c| *c == ('[', false));
    let has_pattern = word.contains(&('*', false))
        || word.contains(&('?', false))
        || bracket.is_some_and(|open| word[open..].contains(&(']', false)));
    let has_quoted_special = word
        .iter()
        .any(|(c, quoted)| (is_special(*c) || *c == '\\') && *quoted);
    let has_tilde = word.first() == Some(&('~', false));
    let kind = match (has_tilde, has_pattern) {
        (true, false) if matches!(word.get(1), None | Some(('/', _))) => Kind::Home,
        (false, true) if !has_quoted_special => Kind::Pattern,
        (false, false) => Kind::Known,
        _ => return Argument::unknown(source),
    };
    Argument { text, kind }
}

/// `a{b,c}` as `ab` and `ac`. `None` when the braces hold a sequence or make too many words.
fn expand_braces(word: &[(char, bool)]) -> Option<Vec<Vec<(char, bool)>>> {
    let Some((open, close, commas)) = first_braces(word) else {
        let is_sequence = word.contains(&('{', false))
            && word
                .windows(2)
                .any(|pair| pair == [('.', false), ('.', false)]);
        return (!is_sequence).then(|| vec![word.to_vec()]);
    };
    let mut bounds = vec![open];
    bounds.extend(commas);
    bounds.push(close);
    let mut words = Vec::new();
    for pair in bounds.windows(2) {
        let mut alternative = word[..open].to_vec();
        alternative.extend_from_slice(&word[pair[0] + 1..pair[1]]);
        alternative.extend_from_slice(&word[close + 1..]);
        words.extend(expand_braces(&alternative)?);
        if words.len() > BRACE_WORDS_MAX {
            return None;
        }
    }
    Some(words)
}

/// The first unquoted braces with a comma between them: where they open and close, and their commas.
fn first_braces(word: &[(char, bool)]) -> Option<(usize, usize, Vec<usize>)> {
    (0..word.len())
        .filter(|position| word[*position] == ('{', false))
        .find_map(|open| {
            let mut depth = 0_usize;
            let mut commas = Vec::new();
            for (position, c) in word.iter().enumerate().skip(open) {
                match c {
                    ('{', false) => depth += 1,
                    ('}', false) => depth -= 1,
                    (',', false) if depth == 1 => commas.push(position),
                    _ => {}
                }
                if depth == 0 {
                    return (!commas.is_empty()).then_some((open, position, commas));
                }
            }
            None
        })
}
