//! From a text to its facts: one parse, one query, and a sweep that puts what was found into what it stands in.

use crate::about::About;
use crate::facts::{FileFacts, Receiver, Reference, Symbol, SymbolKind, Typed};
use crate::languages::{Family, Language};
use crate::{chain, flow, given, imports};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};
use tree_sitter::{Node, ParseOptions, Parser, QueryCursor, StreamingIterator, Tree};

/// The longest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// The longest line of a file that people write, in bytes. What is longer was made by a program.
const LINE_BYTES_MAX: usize = 20_000;
/// What a file defines and uses at most; the rest is left out.
const FOUND_MAX: usize = 50_000;
/// Depth to which the structure of data is told.
const DATA_DEPTH_MAX: u32 = 2;
/// How long the parser may take for one file.
const PARSE_TIME_MAX: Duration = Duration::from_secs(2);
const SIGNATURE_CHARS_MAX: usize = 160;
const DOC_CHARS_MAX: usize = 160;

/// Why a file is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Skipped {
    /// It is in no language that is known.
    Unknown,
    /// It is no text.
    Binary,
    /// It is longer than [`FILE_BYTES_MAX`].
    Large,
    /// Its lines are longer than anybody writes.
    Minified,
    /// The parser took too long.
    Slow,
}

impl Skipped {
    /// One word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown language",
            Self::Binary => "binary",
            Self::Large => "too large",
            Self::Minified => "minified",
            Self::Slow => "too slow to parse",
        }
    }
}

/// What a file says.
///
/// # Errors
/// When it is nothing that is read.
pub fn facts(path: &str, bytes: &[u8]) -> Result<FileFacts, Skipped> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Skipped::Large);
    }
    if bytes.iter().take(8_192).any(|byte| *byte == 0) {
        return Err(Skipped::Binary);
    }
    let text = str::from_utf8(bytes).map_err(|_| Skipped::Binary)?;
    let language = Language::of(path, text).ok_or(Skipped::Unknown)?;
    let is_data = language.family() == Family::Data;
    if !is_data && text.lines().any(|line| line.len() > LINE_BYTES_MAX) {
        return Err(Skipped::Minified);
    }
    let tree = parse(language, text).ok_or(Skipped::Slow)?;
    Ok(read(language, path, text, &tree))
}

thread_local! {
    static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
}

fn parse(language: Language, text: &str) -> Option<Tree> {
    PARSER.with_borrow_mut(|parser| {
        parser.set_language(&language.grammar()).ok()?;
        let ends_at = Instant::now() + PARSE_TIME_MAX;
        let mut go_on = |_: &tree_sitter::ParseState| match Instant::now() < ends_at {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let bytes = text.as_bytes();
        let mut input = |at: usize, _| bytes.get(at..).unwrap_or_default();
        let options = ParseOptions::new().progress_callback(&mut go_on);
        let tree = parser.parse_with_options(&mut input, None, Some(options));
        parser.reset();
        tree
    })
}

/// What the query found, before it is known what stands in what.
#[derive(Default)]
struct Found<'tree> {
    symbols: Vec<(Node<'tree>, Symbol)>,
    bases: Vec<(usize, Box<str>)>,
    references: Vec<(usize, Reference)>,
    /// Where each stands, and from where it is so.
    typed: Vec<(usize, usize, Typed)>,
    imports: Vec<(u32, String)>,
    /// Lines that an attribute of a test stands on.
    tests: Vec<u32>,
}

fn read(language: Language, path: &str, text: &str, tree: &Tree) -> FileFacts {
    let mut found = query(language, text, tree);
    found.typed.sort_by_key(|(_, since, _)| *since);
    found.symbols.sort_by(|(a, x), (b, y)| {
        let span = |node: &Node<'_>| (node.start_byte(), usize::MAX - node.end_byte());
        span(a).cmp(&span(b)).then_with(|| x.name.cmp(&y.name))
    });
    // Two patterns may have found the same thing: the first to be named is kept.
    found
        .symbols
        .dedup_by(|(b, y), (a, x)| a.id() == b.id() && x.name == y.name);
    let spans: Vec<Range<usize>> = found
        .symbols
        .iter()
        .map(|(node, _)| node.byte_range())
        .collect();
    let around = Around::new(&spans);
    let mut symbols: Vec<Symbol> = Vec::with_capacity(spans.len());
    let mut depths: Vec<u32> = Vec::with_capacity(spans.len());
    for (at, (node, mut symbol)) in found.symbols.into_iter().enumerate() {
        symbol.container = around.container[at];
        symbol.doc = doc(language, node, text);
        symbol.signature = signature(&text[node.byte_range()]);
        let container = symbol.container.map(|container| container as usize);
        depths.push(container.map_or(0, |container| depths[container] + 1));
        let is_member = container.is_some_and(|container: usize| symbols[container].kind.is_type());
        if is_member && symbol.kind == SymbolKind::Function {
            symbol.kind = SymbolKind::Method;
        }
        let is_in_tests = container.is_some_and(|container| symbols[container].is_test);
        symbol.is_test = is_in_tests || is_test(language, path, &symbol, &found.tests);
        symbols.push(symbol);
    }
    let inner = |at: usize| around.innermost(&spans, at);
    let mut facts = FileFacts {
        language,
        lines: text.lines().count() as u32,
        bases: found
            .bases
            .into_iter()
            .filter_map(|(at, base)| Some((inner(at)?, base)))
            .collect(),
        references: found
            .references
            .into_iter()
            .map(|(at, reference)| Reference {
                from: inner(at),
                ..reference
            })
            .collect(),
        typed: found
            .typed
            .into_iter()
            .map(|(at, _, typed)| Typed {
                from: inner(at),
                ..typed
            })
            .collect(),
        imports: found
            .imports
            .iter()
            .flat_map(|(line, text)| imports::read(language, text, *line))
            .collect(),
        symbols,
        about: About::default(),
        flow: None,
        has_errors: tree.root_node().has_error(),
    };
    match language.family() {
        Family::Data => shallow(&mut facts, &depths),
        Family::Python => {
            facts.flow = Some(flow::lower(tree.root_node(), text, &mut facts.symbols));
        }
        _ => {}
    }
    facts.references.dedup();
    facts.references.shrink_to_fit();
    facts.about = About::of(path, text, &facts);
    facts
}

/// Of data, only what stands near the top is told.
fn shallow(facts: &mut FileFacts, depths: &[u32]) {
    let kept: Vec<bool> = depths.iter().map(|depth| *depth < DATA_DEPTH_MAX).collect();
    let mut place = 0;
    let places: Vec<Option<u32>> = kept
        .iter()
        .map(|is_kept| {
            place += u32::from(*is_kept);
            is_kept.then(|| place - 1)
        })
        .collect();
    let mut at = 0;
    facts.symbols.retain(|_| {
        at += 1;
        kept[at - 1]
    });
    for symbol in &mut facts.symbols {
        symbol.container = symbol
            .container
            .and_then(|container| places[container as usize]);
    }
}

fn query<'tree>(language: Language, text: &str, tree: &'tree Tree) -> Found<'tree> {
    let mut found = Found::default();
    let Some(query) = language.query() else {
        return found;
    };
    let names = query.capture_names();
    let mut cursor = QueryCursor::new();
    let mut matches = cursor.matches(query, tree.root_node(), text.as_bytes());
    while let Some(matched) = matches.next() {
        let capture = |wanted: &str| {
            matched
                .captures()
                .iter()
                .find(|capture| names[capture.index as usize] == wanted)
                .map(|capture| capture.node)
        };
        let told = |node: Node<'_>| -> Box<str> { name_of(language, &text[node.byte_range()]) };
        let receiver = capture("receiver");
        for taken in matched.captures() {
            let node = taken.node;
            let line = node.start_position().row as u32 + 1;
            let at = node.start_byte();
            match names[taken.index as usize] {
                "base" => found.bases.push((at, told(node))),
                word @ ("callee" | "use") => found.references.push((
                    at,
                    Reference {
                        from: None,
                        name: told(node),
                        receiver: receiver_of(receiver, text),
                        line,
                        is_call: word == "callee",
                    },
                )),
                "import" => found
                    .imports
                    .push((line, text[node.byte_range()].to_owned())),
                "attribute" if text[node.byte_range()].to_lowercase().contains("test") => {
                    found.tests.push(line);
                }
                word @ ("vartype" | "varvalue" | "vareach" | "varfirst" | "varsecond"
                | "varfield" | "returns" | "zeroth") => {
                    let variable = capture("var");
                    let name = match word {
                        "returns" => "".into(),
                        "zeroth" => "0".into(),
                        _ => variable.map(told).unwrap_or_default(),
                    };
                    let since = variable.map_or(at, |variable| at.max(variable.start_byte()));
                    let typed = typed(language, word, name, node, text);
                    let line = variable.map_or(line, |variable| {
                        line.max(variable.start_position().row as u32 + 1)
                    });
                    let typed = typed.map(|typed| (at, since, Typed { line, ..typed }));
                    found.typed.extend(typed);
                }
                "given" | "handed" => {
                    let typed = match names[taken.index as usize] {
                        "given" => given::to_closure(node, text),
                        _ => given::by_function(node, text),
                    };
                    found.typed.extend(typed.map(|typed| (at, at, typed)));
                }
                "testcall" => found.symbols.extend(called_test(capture, node, text)),
                word => {
                    let kind = word.strip_prefix("def.").and_then(kind);
                    if let (Some(kind), Some(name)) = (kind, capture("name")) {
                        let owner = capture("owner").map(told);
                        found
                            .symbols
                            .push((node, symbol(kind, told(name), node, owner)));
                    }
                }
            }
        }
        if found.symbols.len() + found.references.len() > FOUND_MAX {
            break;
        }
    }
    found
}

fn symbol(kind: SymbolKind, name: Box<str>, node: Node<'_>, owner: Option<Box<str>>) -> Symbol {
    let end = node.end_position();
    // A node that ends with its line's end does not reach into the next.
    let end_line = end.row as u32 + u32::from(end.column > 0);
    Symbol {
        name,
        kind,
        container: None,
        owner,
        line: node.start_position().row as u32 + 1,
        end_line: end_line.max(node.start_position().row as u32 + 1),
        signature: "".into(),
        doc: "".into(),
        is_test: false,
    }
}

/// What is written of a variable, of a field or of what a function gives back: a type, or a value.
fn typed(
    language: Language,
    word: &str,
    name: Box<str>,
    node: Node<'_>,
    text: &str,
) -> Option<Typed> {
    let (node, is_value) = match node.kind() {
        // `value as Type` is of that type.
        "as_expression" => (node.named_child(1)?, false),
        _ => (node, !matches!(word, "vartype" | "returns" | "zeroth")),
    };
    let mark = match word {
        "vareach" => ".[]",
        "varfirst" => ".0",
        "varsecond" => ".1",
        _ => "",
    };
    let type_name = match (is_value, word) {
        (false, _) => name_of(language, &text[node.byte_range()]),
        (true, "varfield") => format!("{}.{name}", chain::of(node, text)?).into(),
        (true, _) => format!("{}{mark}", chain::of(node, text)?).into(),
    };
    Some(Typed {
        from: None,
        name,
        type_name,
        is_value,
        line: 0,
    })
}

/// `it("adds", …)` and its like: tests that are calls.
fn called_test<'tree>(
    capture: impl Fn(&str) -> Option<Node<'tree>>,
    node: Node<'tree>,
    text: &str,
) -> Option<(Node<'tree>, Symbol)> {
    let word = &text[capture("test")?.byte_range()];
    if !matches!(word, "it" | "test" | "describe") {
        return None;
    }
    let name = cut(&text[capture("testname")?.byte_range()], DOC_CHARS_MAX);
    let mut symbol = symbol(SymbolKind::Function, name, node, None);
    symbol.is_test = true;
    Some((node, symbol))
}

fn kind(word: &str) -> Option<SymbolKind> {
    Some(match word {
        "function" => SymbolKind::Function,
        "method" => SymbolKind::Method,
        "class" => SymbolKind::Class,
        "interface" => SymbolKind::Interface,
        "extension" => SymbolKind::Extension,
        "type" => SymbolKind::Type,
        "module" => SymbolKind::Module,
        "macro" => SymbolKind::Macro,
        "constant" => SymbolKind::Constant,
        "section" => SymbolKind::Section,
        "key" => SymbolKind::Key,
        _ => return None,
    })
}

/// A name without what is around it in the text.
fn name_of(language: Language, written: &str) -> Box<str> {
    let name = match language.family() {
        Family::Data => written.trim().trim_matches(['"', '\'']),
        Family::Ruby => written.trim_start_matches("@").trim(),
        _ => written.trim(),
    };
    cut(name.lines().next().unwrap_or_default(), DOC_CHARS_MAX)
}

fn receiver_of(node: Option<Node<'_>>, text: &str) -> Receiver {
    let Some(node) = node else {
        return Receiver::None;
    };
    let written = text[node.byte_range()].trim();
    if matches!(written, "self" | "this" | "Self") {
        return Receiver::Own;
    }
    let is_path = node
        .parent()
        .is_some_and(|parent| parent.kind() == "scoped_identifier");
    match chain::of(node, text) {
        Some(path) if is_path => Receiver::Named(format!("{path}::").into()),
        Some(chain) => Receiver::Named(chain.into()),
        None => Receiver::Unknown,
    }
}

/// The line that declares something, without what it opens.
pub(crate) fn signature(text: &str) -> Box<str> {
    let line = text.lines().next().unwrap_or_default().trim();
    let line = line.trim_end_matches(['{', ':', '=', ' ']);
    cut(line, SIGNATURE_CHARS_MAX)
}

/// The first line of what is said about a symbol: in a comment before it, or as Python's first statement.
fn doc(language: Language, node: Node<'_>, text: &str) -> Box<str> {
    let clean = |line: &str| -> Box<str> {
        let line = line
            .trim()
            .trim_matches(['/', '*', '#', '!', '"', '\'', ' ']);
        cut(line, DOC_CHARS_MAX)
    };
    if language.family() == Family::Python {
        let first = node
            .child_by_field_name("body")
            .and_then(|body| body.named_child(0))
            .filter(|first| first.kind() == "expression_statement")
            .and_then(|first| first.named_child(0))
            .filter(|first| first.kind() == "string");
        let said = first.map_or("", |first| &text[first.byte_range()]);
        return said
            .lines()
            .map(clean)
            .find(|line| !line.is_empty())
            .unwrap_or_default();
    }
    let starts: &[&str] = match language.family() {
        Family::Ruby | Family::Bash | Family::Data => &["#"],
        _ => &["//", "/*", "*"],
    };
    let before = &text[..node.start_byte()];
    let mut said: Box<str> = "".into();
    for line in before
        .lines()
        .rev()
        .skip(usize::from(!before.ends_with('\n')))
    {
        let line = line.trim();
        let is_comment = starts.iter().any(|start| line.starts_with(start));
        if line.starts_with("#[") || line.starts_with('@') {
            continue;
        }
        if !is_comment || line.starts_with("#!") {
            break;
        }
        let line = clean(line);
        if !line.is_empty() {
            said = line;
        }
    }
    said
}

fn is_test(language: Language, path: &str, symbol: &Symbol, tests: &[u32]) -> bool {
    if !symbol.kind.is_callable() {
        let is_module_of_tests = symbol.kind == SymbolKind::Module && &*symbol.name == "tests";
        return language == Language::Rust && is_module_of_tests;
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let is_marked =
        |lines: std::ops::RangeInclusive<u32>| tests.iter().any(|it| lines.contains(it));
    match language.family() {
        // The attributes of a function stand just before it, Java's are a part of it.
        Family::Rust => is_marked(symbol.line.saturating_sub(3)..=symbol.line),
        Family::Java => is_marked(symbol.line..=symbol.line + 2),
        Family::Python => symbol.name.starts_with("test"),
        Family::Go => file.ends_with("_test.go") && symbol.name.starts_with("Test"),
        Family::Ruby => symbol.name.starts_with("test_"),
        Family::C => symbol.name.starts_with("test_") || symbol.name.starts_with("TEST"),
        _ => symbol.is_test,
    }
}

fn cut(text: &str, chars_max: usize) -> Box<str> {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => text[..at].into(),
        None => text.into(),
    }
}

/// What stands in what, for spans that are sorted and lie within one another or apart.
struct Around {
    container: Vec<Option<u32>>,
}

impl Around {
    fn new(spans: &[Range<usize>]) -> Self {
        let mut container = Vec::with_capacity(spans.len());
        let mut open: Vec<u32> = Vec::new();
        for (at, span) in spans.iter().enumerate() {
            while open
                .last()
                .is_some_and(|last| spans[*last as usize].end < span.end.max(span.start + 1))
            {
                open.pop();
            }
            container.push(open.last().copied());
            open.push(at as u32);
        }
        Self { container }
    }

    /// The smallest span that holds a place.
    fn innermost(&self, spans: &[Range<usize>], at: usize) -> Option<u32> {
        let after = spans.partition_point(|span| span.start <= at);
        let mut candidate = after.checked_sub(1).map(|last| last as u32);
        while let Some(span) = candidate {
            if spans[span as usize].contains(&at) {
                return Some(span);
            }
            candidate = self.container[span as usize];
        }
        None
    }
}
