//! What a folder of code defines and what uses it, as it is asked for.

use crate::ClientError;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Symbols that one question is answered with at most.
pub const CODE_SYMBOLS_MAX: usize = 200;
/// How far an impact is followed, in uses.
pub const CODE_DEPTH_MAX: usize = 10;
/// The largest outline, in tokens.
pub const CODE_TOKENS_MAX: usize = 32_000;

/// The code of folders. Nothing is read of a folder before somebody asks about it; what is answered is what lies on the
/// disk then.
#[async_trait]
pub trait CodeGraph: Send + Sync {
    /// Brings what is known of a folder up to date, and says what that is.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn index(&self, folder: &Path) -> Result<CodeSummary, ClientError>;

    /// The symbols that are meant by a name, by names with `.` or `::` between, or by `path:line`; those that are meant
    /// most likely come first.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn symbols(
        &self,
        folder: &Path,
        name: &str,
        limit: usize,
    ) -> Result<Vec<CodeSymbol>, ClientError>;

    /// What uses the symbols that are meant, or what they use: the surest first.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn uses(
        &self,
        folder: &Path,
        name: &str,
        direction: CodeDirection,
        limit: usize,
    ) -> Result<CodeUses, ClientError>;

    /// What may break when the symbols that are meant change: all that uses them, over at most so many uses.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn impact(
        &self,
        folder: &Path,
        name: &str,
        depth: usize,
        limit: usize,
    ) -> Result<CodeImpact, ClientError>;

    /// What a file is about, what it defines, and what uses that from other files, the surest first.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn file(&self, folder: &Path, path: &str, limit: usize) -> Result<CodeFile, ClientError>;

    /// The files that are about some words, those that are most so first.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn search(
        &self,
        folder: &Path,
        words: &str,
        limit: usize,
    ) -> Result<Vec<CodeFound>, ClientError>;

    /// An outline of what matters most, of about so many tokens; with words, of what matters most for what they say.
    ///
    /// # Errors
    /// When the folder can't be read.
    async fn map(
        &self,
        folder: &Path,
        about: Option<&str>,
        tokens: usize,
    ) -> Result<String, ClientError>;
}

/// Which end of a use is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeDirection {
    /// What uses it.
    Callers,
    /// What it uses.
    Callees,
}

/// What is known of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSummary {
    /// Files that were read.
    pub files: usize,
    /// Their lines.
    pub lines: usize,
    /// What they define.
    pub symbols: usize,
    /// Uses of a symbol by another.
    pub edges: usize,
    /// Files by language.
    pub languages: Vec<(String, usize)>,
    /// Files that were passed over, by why.
    pub skipped: Vec<(String, usize)>,
    /// Files that were read anew this time.
    pub changed: usize,
}

/// Something that code defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSymbol {
    /// With what it stands in, `.` between: `Session.close`.
    pub name: String,
    /// What it is, in a word.
    pub kind: String,
    /// From the folder.
    pub path: String,
    /// From 1; a whole file is told by line 1.
    pub line: u32,
    /// Its last line.
    pub end_line: u32,
    /// The line that declares it.
    pub signature: String,
    /// The first line of what is said about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// Whether it is a test.
    #[serde(default)]
    pub is_test: bool,
}

/// Who uses something, or what it uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUses {
    /// The symbols that were asked about.
    pub of: Vec<CodeSymbol>,
    /// The uses, the surest first.
    pub uses: Vec<CodeUse>,
    /// Uses that were left out.
    pub left_out: usize,
    /// Files that changed just now, of which it is still being worked out what comes of it for others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsettled: usize,
}

/// A file that is about what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeFound {
    /// From the folder.
    pub path: String,
    /// What it is written in.
    pub language: String,
    /// How many lines it has.
    pub lines: u32,
    /// What it is about, in a sentence of at most 120 characters: its own, or else what it defines.
    pub summary: String,
    /// The words that tell it from others, at most 8.
    pub tags: Vec<String>,
    /// What it defines whose names have what was asked for, at most 3.
    pub symbols: Vec<CodeSymbol>,
}

/// What a file is about, what it defines and who uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeFile {
    /// What it says that it is about, in a sentence of at most 120 characters; empty where it says nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The words that tell it from others, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it defines, in order.
    pub symbols: Vec<CodeSymbol>,
    /// What is used of it from other files, and by whom.
    pub users: Vec<CodeUser>,
    /// Files that changed just now, of which it is still being worked out what comes of it for others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsettled: usize,
}

/// Somebody who uses something of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUser {
    /// What is used.
    pub of: String,
    /// Who uses it, and where.
    pub by: CodeUse,
}

/// A use of one symbol by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUse {
    /// How it is used.
    pub kind: CodeUseKind,
    /// The other end: what is used, or what uses. A name alone where it is outside the folder.
    pub symbol: CodeSymbol,
    /// Where it is used.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// How sure it is, of 100.
    pub confidence: u8,
}

/// How something is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeUseKind {
    /// It is called.
    Calls,
    /// An instance of it is made.
    Makes,
    /// It is made from it.
    Inherits,
    /// It is named.
    Names,
    /// It is taken from another file.
    Imports,
}

/// What may break when something changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeImpact {
    /// The symbols that were asked about.
    pub of: Vec<CodeSymbol>,
    /// What uses them, the nearest first.
    pub reached: Vec<CodeReached>,
    /// Files that any of it stands in.
    pub files: usize,
    /// What was left out.
    pub left_out: usize,
    /// Files that changed just now, of which it is still being worked out what comes of it for others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsettled: usize,
}

/// Something that a change reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeReached {
    /// What is reached.
    pub symbol: CodeSymbol,
    /// Over how many uses.
    pub distance: usize,
    /// The symbol that it uses on the way.
    pub over: String,
    /// How sure the way is, of 100.
    pub confidence: u8,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
