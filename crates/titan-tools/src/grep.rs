//! `grep`: lines of files that match a regular expression.

use crate::call::{self, WholeCall};
use crate::files::{self, ENTRIES_MAX, FILE_BYTES_MAX, PATH_CHARS_MAX};
use crate::glob::{PATTERN_CHARS_MAX, Pattern};
use crate::output::{self, reply};
use async_trait::async_trait;
use futures::StreamExt;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use titan_protocol::{
    Effect, EntryKind, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, WalkOptions, Workbench,
};

/// Matching lines that one call gives.
const MATCHES_MAX: usize = 500;
/// Lines around a match that a call may ask for, each way.
const CONTEXT_MAX: usize = 20;
/// Longer lines are cut, in bytes.
const LINE_BYTES_MAX: usize = 400;
/// The largest compiled expression, in bytes.
const REGEX_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) struct Grep;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    context: Option<usize>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    files_only: bool,
}

impl Arguments {
    /// Where to search, and for which files. A pattern given as the path is taken for what is meant: small models do so.
    fn place(&self) -> (&str, Option<&str>) {
        match (self.path.as_deref(), self.glob.as_deref()) {
            (Some(pattern), None) if pattern.contains(['*', '?']) => (".", Some(pattern)),
            (path, glob) => (path.unwrap_or("."), glob),
        }
    }
}

#[async_trait]
impl WholeCall for Grep {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "grep",
            include_str!("grep.md"),
            json!({
                "type": "object",
                "properties": {
                    "pattern": {"type": "string", "minLength": 1, "maxLength": PATTERN_CHARS_MAX, "description": "Regular expression"},
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX, "description": "File or folder; the workspace if left out"},
                    "glob": {"type": "string", "minLength": 1, "maxLength": PATTERN_CHARS_MAX, "description": "Only files that match, such as *.rs"},
                    "context": {"type": "integer", "minimum": 0, "maximum": CONTEXT_MAX, "description": "Lines around each match"},
                    "ignore_case": {"type": "boolean"},
                    "files_only": {"type": "boolean", "description": "Only the names of files"}
                },
                "required": ["pattern"],
                "additionalProperties": false
            }),
        )
    }

    fn starts_early(&self) -> bool {
        true
    }

    fn example(&self) -> &'static str {
        r#"{"pattern": "fn main", "glob": "*.rs", "context": 2}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![
            files::read_effect(workbench, arguments.place().0).await?,
        ])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let workbench = context.workbench.as_ref();
        let matcher = matcher(&arguments)?;
        let (path, glob) = arguments.place();
        let filter = glob.map(Pattern::new).transpose()?;
        let asked = files::resolve(workbench, path).await?.path;
        let is_missing = workbench.metadata(&asked).await.map_err(reply)?.is_none();
        let start = if is_missing { workbench.root() } else { &asked };
        let mut searcher = searcher(&arguments);
        let mut found = Found {
            files_only: arguments.files_only,
            ..Found::default()
        };
        let mut candidates = candidates(workbench, start).await?;
        while let Some(candidate) = candidates.next().await {
            let (path, bytes) = candidate?;
            if filter
                .as_ref()
                .is_some_and(|filter| !filter.is_match(start, &path))
            {
                continue;
            }
            if bytes > FILE_BYTES_MAX {
                found.too_large += 1;
                continue;
            }
            search(workbench, &path, &matcher, &mut searcher, &mut found).await?;
            if found.is_full() {
                break;
            }
        }
        let mut text =
            found.finish((start != workbench.root()).then(|| files::shown(workbench, start)));
        if is_missing {
            text = format!("[there is no such path; the whole workspace was searched]\n{text}");
        }
        Ok(output::text(text, Taint::BOTH))
    }
}

type Candidates = titan_protocol::BoxStream<Result<(PathBuf, u64), ToolError>>;

/// The files to search, with their sizes: the file itself, or those below the folder.
async fn candidates(workbench: &dyn Workbench, start: &Path) -> Result<Candidates, ToolError> {
    let metadata = workbench.metadata(start).await.map_err(reply)?;
    match metadata {
        Some(metadata) if metadata.kind == EntryKind::Folder => {
            let walk = workbench
                .walk(start, WalkOptions::default())
                .take(ENTRIES_MAX);
            Ok(walk
                .map(|entry| entry.map(|entry| (entry.path, entry.bytes)).map_err(reply))
                .boxed())
        }
        Some(metadata) => {
            let only = (start.to_owned(), metadata.bytes);
            Ok(futures::stream::once(async move { Ok(only) }).boxed())
        }
        None => Err(ToolError::Reply(format!(
            "{} does not exist",
            files::shown(workbench, start)
        ))),
    }
}

fn matcher(arguments: &Arguments) -> Result<RegexMatcher, ToolError> {
    RegexMatcherBuilder::new()
        .case_insensitive(arguments.ignore_case)
        .line_terminator(Some(b'\n'))
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build(&arguments.pattern)
        .map_err(|error| {
            ToolError::Reply(format!(
                "the pattern is not a regular expression: {error}. To find characters such as ( or [ as they are, put \\ before them"
            ))
        })
}

fn searcher(arguments: &Arguments) -> Searcher {
    let context = match arguments.files_only {
        true => 0,
        false => arguments.context.unwrap_or(0).min(CONTEXT_MAX),
    };
    SearcherBuilder::new()
        .line_number(true)
        .before_context(context)
        .after_context(context)
        .binary_detection(BinaryDetection::quit(0))
        .build()
}

async fn search(
    workbench: &dyn Workbench,
    path: &Path,
    matcher: &RegexMatcher,
    searcher: &mut Searcher,
    found: &mut Found,
) -> Result<(), ToolError> {
    let Ok(bytes) = workbench.read(path, 0, FILE_BYTES_MAX).await else {
        found.unreadable += 1;
        return Ok(());
    };
    if files::is_binary(&bytes) {
        return Ok(());
    }
    found.begin(files::shown(workbench, path));
    searcher
        .search_slice(matcher, &bytes, &mut *found)
        .map_err(|error| ToolError::Reply(format!("{} could not be searched: {error}", found.file)))
}

/// Collects what is found, as `path:line:text` and `path-line-text` for the lines around.
#[derive(Default)]
struct Found {
    files_only: bool,
    file: String,
    lines: Vec<String>,
    matches: usize,
    too_large: usize,
    unreadable: usize,
}

impl Found {
    fn begin(&mut self, file: String) {
        self.file = file;
    }

    fn is_full(&self) -> bool {
        self.matches >= MATCHES_MAX
    }

    fn push(&mut self, mark: char, number: Option<u64>, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        let end = text.floor_char_boundary(LINE_BYTES_MAX);
        let cut = if end < text.len() { " […]" } else { "" };
        self.lines.push(format!(
            "{}{mark}{}{mark}{}{cut}",
            self.file,
            number.unwrap_or(0),
            &text[..end]
        ));
    }

    /// `narrowed` is the file or folder that was searched, if not the whole workspace.
    fn finish(mut self, narrowed: Option<String>) -> String {
        if self.lines.is_empty() {
            self.lines.push(match narrowed {
                Some(place) => {
                    format!("[no match in {place}; leave path out to search the whole workspace]")
                }
                None => "[no match; hidden and ignored files are left out]".to_owned(),
            });
        }
        if self.is_full() {
            self.lines.push(format!(
                "[the first {MATCHES_MAX} matches; narrow the pattern or the path]"
            ));
        }
        if self.too_large > 0 {
            self.lines.push(format!(
                "[{} files above {FILE_BYTES_MAX} bytes were not searched]",
                self.too_large
            ));
        }
        if self.unreadable > 0 {
            self.lines
                .push(format!("[{} files could not be read]", self.unreadable));
        }
        self.lines.join("\n")
    }
}

impl Sink for Found {
    type Error = std::io::Error;

    fn matched(
        &mut self,
        _searcher: &Searcher,
        found: &SinkMatch<'_>,
    ) -> Result<bool, Self::Error> {
        self.matches += 1;
        if self.files_only {
            self.lines.push(self.file.clone());
            return Ok(false);
        }
        self.push(':', found.line_number(), found.bytes());
        Ok(!self.is_full())
    }

    fn context(
        &mut self,
        _searcher: &Searcher,
        around: &SinkContext<'_>,
    ) -> Result<bool, Self::Error> {
        self.push('-', around.line_number(), around.bytes());
        Ok(true)
    }

    fn context_break(&mut self, _searcher: &Searcher) -> Result<bool, Self::Error> {
        self.lines.push("--".to_owned());
        Ok(true)
    }
}
