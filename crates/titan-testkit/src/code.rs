//! Code that is told beforehand: what tools are tested with.

use async_trait::async_trait;
use std::path::Path;
use titan_protocol::{
    ClientError, CodeDirection, CodeFile, CodeFound, CodeGraph, CodeImpact, CodeSummary,
    CodeSymbol, CodeUses,
};

/// A [`CodeGraph`] that answers every question with the same.
#[derive(Clone, Debug, Default)]
pub struct ToldCode {
    /// All symbols.
    pub symbols: Vec<CodeSymbol>,
    /// All uses.
    pub uses: CodeUses,
    /// All impacts.
    pub impact: CodeImpact,
    /// All files.
    pub file: CodeFile,
    /// All that is found.
    pub found: Vec<CodeFound>,
    /// The outline; behind it stands what it was asked to be about.
    pub map: String,
}

impl ToldCode {
    /// A folder without code.
    pub fn none() -> Self {
        Self::default()
    }
}

#[async_trait]
impl CodeGraph for ToldCode {
    async fn index(&self, _folder: &Path) -> Result<CodeSummary, ClientError> {
        Ok(CodeSummary {
            symbols: self.symbols.len(),
            ..CodeSummary::default()
        })
    }

    async fn symbols(
        &self,
        _folder: &Path,
        _name: &str,
        limit: usize,
    ) -> Result<Vec<CodeSymbol>, ClientError> {
        Ok(self.symbols.iter().take(limit).cloned().collect())
    }

    async fn uses(
        &self,
        _folder: &Path,
        _name: &str,
        _direction: CodeDirection,
        limit: usize,
    ) -> Result<CodeUses, ClientError> {
        let mut uses = self.uses.clone();
        uses.left_out += uses.uses.len().saturating_sub(limit);
        uses.uses.truncate(limit);
        Ok(uses)
    }

    async fn impact(
        &self,
        _folder: &Path,
        _name: &str,
        _depth: usize,
        limit: usize,
    ) -> Result<CodeImpact, ClientError> {
        let mut impact = self.impact.clone();
        impact.left_out += impact.reached.len().saturating_sub(limit);
        impact.reached.truncate(limit);
        Ok(impact)
    }

    async fn file(
        &self,
        _folder: &Path,
        _path: &str,
        limit: usize,
    ) -> Result<CodeFile, ClientError> {
        let mut file = self.file.clone();
        file.symbols.truncate(limit);
        file.users.truncate(limit);
        Ok(file)
    }

    async fn search(
        &self,
        _folder: &Path,
        _words: &str,
        limit: usize,
    ) -> Result<Vec<CodeFound>, ClientError> {
        Ok(self.found.iter().take(limit).cloned().collect())
    }

    async fn map(
        &self,
        _folder: &Path,
        about: Option<&str>,
        _tokens: usize,
    ) -> Result<String, ClientError> {
        Ok(match about {
            Some(words) => format!("{}[about {words}]\n", self.map),
            None => self.map.clone(),
        })
    }
}
