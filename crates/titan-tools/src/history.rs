//! `history`: who wrote a file or some of its lines, when and why.

use crate::call::{self, WholeCall};
use crate::files::{self, PATH_CHARS_MAX};
use crate::output;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use titan_protocol::{
    COMMITS_MAX, Commit, Effect, FileHistory, History, HistoryQuestion, Taint, ToolContext,
    ToolError, ToolOutput, ToolSpec, UnixMillis, Workbench, WrittenLines,
};

/// Commits that one call gives unless it says otherwise.
const LIMIT_DEFAULT: usize = 20;
/// Digits by which a commit is named.
const HASH_SHOWN: usize = 10;

pub(crate) struct OfFile {
    pub(crate) history: Arc<dyn History>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: String,
    from_line: Option<u32>,
    to_line: Option<u32>,
    limit: Option<usize>,
}

impl Arguments {
    fn lines(&self) -> Option<(u32, u32)> {
        let first = self.from_line.or(self.to_line)?.max(1);
        Some((first, self.to_line.unwrap_or(first).max(first)))
    }
}

#[async_trait]
impl WholeCall for OfFile {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "history",
            include_str!("history.md"),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX, "description": "The file; it may be gone"},
                    "from_line": {"type": "integer", "minimum": 1, "description": "First line to tell of; the whole file if left out"},
                    "to_line": {"type": "integer", "minimum": 1, "description": "Last line; the same line if left out"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": COMMITS_MAX, "description": "Commits to give"}
                },
                "required": ["path"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"path": "src/main.rs", "from_line": 10, "to_line": 20}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        let read = files::read_effect(workbench, &arguments.path).await?;
        let git = workbench.which("git").await;
        Ok(vec![
            read,
            Effect::Run {
                program: git.map_or_else(|| "git".to_owned(), |git| git.display().to_string()),
                arguments: ["log", "--", &arguments.path].map(str::to_owned).to_vec(),
                reads_only: true,
            },
        ])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let workbench = context.workbench.as_ref();
        let path = files::resolve(workbench, &arguments.path).await?.path;
        let lines = arguments.lines();
        let limit = arguments.limit.unwrap_or(LIMIT_DEFAULT);
        let question = HistoryQuestion {
            path,
            lines,
            commits_max: limit.clamp(1, COMMITS_MAX),
        };
        let history = self.history.of_file(workbench, question).await;
        let history = history.map_err(|error| ToolError::Reply(error.to_string()))?;
        let text = match lines {
            Some(_) if !history.lines.is_empty() => of_lines(&history),
            _ => told(&history),
        };
        Ok(output::text(text, Taint::BOTH))
    }
}

/// A history as text: whose the lines are, then the commits, newest first, each with its reason.
pub fn told(history: &FileHistory) -> String {
    let mut text = String::new();
    if history.commits.is_empty() {
        text.push_str("[no commit has touched this file]\n");
    }
    let owners: Vec<String> = history
        .owners
        .iter()
        .map(|owner| format!("{} {} (last {})", owner.author, owner.lines, day(owner.at)))
        .collect();
    if !owners.is_empty() {
        text.push_str(&format!("lines by: {}\n", owners.join(", ")));
    }
    for commit in &history.commits {
        text.push_str(&of_commit(commit));
    }
    if !history.is_whole {
        text.push_str("[there are older commits]\n");
    }
    with_gaps(text, history)
}

/// The lines that were asked about, each row with the commit that wrote it.
pub fn of_lines(history: &FileHistory) -> String {
    let row = |lines: &WrittenLines| {
        let range = match lines.first == lines.last {
            true => format!("line {}", lines.first),
            false => format!("lines {}-{}", lines.first, lines.last),
        };
        match &lines.commit {
            Some(commit) => format!("{range}: {}", of_commit(commit)),
            None => format!("{range}: in no commit yet\n"),
        }
    };
    with_gaps(history.lines.iter().map(row).collect(), history)
}

fn with_gaps(mut text: String, history: &FileHistory) -> String {
    for gap in &history.gaps {
        text.push_str(&format!("[{gap}]\n"));
    }
    text.truncate(text.trim_end().len());
    text
}

fn of_commit(commit: &Commit) -> String {
    let mut text = format!(
        "{} {} {}: {}",
        day(commit.at),
        short(&commit.hash),
        commit.author,
        commit.subject
    );
    let mut marks = Vec::new();
    if commit.mends {
        marks.push("mends".to_owned());
    }
    for issue in &commit.issues {
        let verb = if issue.closes { "closes" } else { "names" };
        marks.push(format!("{verb} {}", issue.name));
    }
    if let Some(from) = &commit.renamed_from {
        marks.push(format!("renamed from {from}"));
    }
    for taken in &commit.reverts {
        marks.push(format!("takes back {}", short(taken)));
    }
    if let Some(by) = &commit.reverted_by {
        marks.push(format!("taken back by {}", short(by)));
    }
    if !marks.is_empty() {
        text.push_str(&format!(" [{}]", marks.join(", ")));
    }
    text.push('\n');
    for line in commit.why.lines() {
        text.push_str(format!("  {line}").trim_end());
        text.push('\n');
    }
    for (key, value) in &commit.trailers {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    text
}

fn short(hash: &str) -> &str {
    hash.get(..HASH_SHOWN).unwrap_or(hash)
}

/// The day of a time, in UTC, as `YYYY-MM-DD`.
fn day(at: UnixMillis) -> String {
    let at = i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%d")
        .to_string()
}
