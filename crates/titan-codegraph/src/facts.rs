//! What one file says by itself: its symbols, and what it names of others. Nothing here knows a second file.

use crate::about::{self, About};
use crate::flow::Flow;
use crate::languages::Language;
use serde::{Deserialize, Serialize};

/// What a file says. A function of its path and text alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFacts {
    /// What it is written in.
    pub language: Language,
    /// How many lines it has.
    pub lines: u32,
    /// What it defines, by where that begins; what contains comes before what is contained.
    pub symbols: Vec<Symbol>,
    /// What it takes from other files.
    pub imports: Vec<Import>,
    /// Where it uses something by name.
    pub references: Vec<Reference>,
    /// What its types are made from: the symbol, and the name as it is written.
    pub bases: Vec<(u32, Box<str>)>,
    /// Variables whose type is written beside them.
    pub typed: Vec<Typed>,
    /// What it is about, as it says by itself.
    pub about: About,
    /// How values move, where that is followed.
    pub(crate) flow: Option<Flow>,
    /// Parts that the grammar could not read.
    pub has_errors: bool,
}

impl FileFacts {
    /// What it is about, in a sentence of at most 120 characters: its own, or else what it defines.
    pub fn summary(&self) -> String {
        match self.about.summary.is_empty() {
            true => about::defined(self),
            false => self.about.summary.to_string(),
        }
    }

    /// A symbol's name with what it stands in, `.` between.
    pub fn qualified(&self, symbol: u32) -> String {
        let mut parts: Vec<&str> = Vec::new();
        let mut at = Some(symbol);
        while let Some(symbol) = at.and_then(|at| self.symbols.get(at as usize)) {
            parts.push(&symbol.name);
            parts.extend(symbol.owner.as_deref());
            at = symbol.container;
        }
        parts.reverse();
        parts.join(".")
    }
}

/// Something with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// As it is written.
    pub name: Box<str>,
    /// What it is.
    pub kind: SymbolKind,
    /// The symbol that it stands in.
    pub container: Option<u32>,
    /// The type that it belongs to where that is not what it stands in: Go's receivers, C++'s `A::f`.
    pub owner: Option<Box<str>>,
    /// Its first line, from 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The line that declares it, cut.
    pub signature: Box<str>,
    /// The first line of what is said about it.
    pub doc: Box<str>,
    /// Whether it is a test.
    pub is_test: bool,
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are called what they are")]
pub enum SymbolKind {
    Function,
    Method,
    Lambda,
    Class,
    Interface,
    /// More of a type that is defined elsewhere: Rust's `impl`.
    Extension,
    Type,
    Module,
    Macro,
    Constant,
    Section,
    Key,
}

impl SymbolKind {
    /// One word, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Method => "method",
            Self::Lambda => "lambda",
            Self::Class => "class",
            Self::Interface => "interface",
            Self::Extension => "extension",
            Self::Type => "type",
            Self::Module => "module",
            Self::Macro => "macro",
            Self::Constant => "constant",
            Self::Section => "section",
            Self::Key => "key",
        }
    }

    /// Whether it can be called by itself.
    pub(crate) fn is_callable(self) -> bool {
        matches!(
            self,
            Self::Function | Self::Method | Self::Lambda | Self::Macro
        )
    }

    /// Whether it has members that are reached through it.
    pub(crate) fn is_type(self) -> bool {
        matches!(
            self,
            Self::Class | Self::Interface | Self::Type | Self::Extension
        )
    }
}

/// Something taken from another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The module as it is written: `crate::a`, `./b`, `a/b.h`.
    pub module: Box<str>,
    /// What is taken of it; the module itself where there is none, everything where it is `*`.
    pub name: Option<Box<str>>,
    /// What it is called here.
    pub alias: Box<str>,
    /// From 1.
    pub line: u32,
}

/// A name that is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The symbol that it stands in.
    pub from: Option<u32>,
    /// The last part of it.
    pub name: Box<str>,
    /// What stands before it.
    pub receiver: Receiver,
    /// From 1.
    pub line: u32,
    /// Whether it is called, and not only named.
    pub is_call: bool,
}

/// What stands before a name that is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Receiver {
    /// Nothing.
    None,
    /// The value or type that the code belongs to: `self`, `this`, `Self`.
    Own,
    /// A chain of names, as [`chain`](crate::chain) tells it; with `::` at the end where it is a path.
    Named(Box<str>),
    /// The result of something.
    Unknown,
}

/// A variable with its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// The symbol that it stands in.
    pub from: Option<u32>,
    /// The variable or field; nothing for what the symbol gives back; `@1.0` for the first of what it hands to the
    /// function that is its second argument.
    pub name: Box<str>,
    /// The type as it is written, or what the variable is set to, as a chain of names.
    pub type_name: Box<str>,
    /// Whether it is what the variable is set to.
    pub is_value: bool,
    /// The line from which it is so, from 1.
    pub line: u32,
}
