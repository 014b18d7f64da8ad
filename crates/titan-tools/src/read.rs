//! `read`: lines of a text file, or of a stored output.
//!
//! Lines come without numbers: models copy what they read into `edit`, and numbers cost a local model time. Where
//! the lines are in the file is said once, at the end.

use crate::call::{self, WholeCall};
use crate::files::{self, PATH_CHARS_MAX};
use crate::output::{self, OUTPUT_BYTES_MAX, reply};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use titan_protocol::{
    BlobId, Blobs, Effect, Event, Journal, Record, SessionId, StorageError, Taint, ToolContext,
    ToolError, ToolOutput, ToolSpec, Workbench,
};

/// Lines that one call gives unless it asks for fewer or more.
const LINES_DEFAULT: usize = 2_000;
/// The most lines that one call gives.
const LINES_MAX: usize = 20_000;
/// Bytes that are read at a time.
const CHUNK_BYTES: u64 = 1024 * 1024;
/// How far into a file lines are counted, in bytes.
const REACH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Records of a session that are looked through at a time.
const RECORDS_PER_READ: usize = 1_000;

pub(crate) struct Read {
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) journal: Arc<dyn Journal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: String,
    offset_line: Option<usize>,
    lines: Option<usize>,
}

#[async_trait]
impl WholeCall for Read {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "read",
            include_str!("read.md"),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX, "description": "File, or output:HASH"},
                    "offset_line": {"type": "integer", "minimum": 1, "description": "First line, from 1"},
                    "lines": {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "description": "How many lines"}
                },
                "required": ["path"],
                "additionalProperties": false
            }),
        )
    }

    fn starts_early(&self) -> bool {
        true
    }

    fn example(&self) -> &'static str {
        r#"{"path": "src/main.rs", "offset_line": 1, "lines": 200}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        match stored(&arguments.path)? {
            Some(_blob) => Ok(Vec::new()),
            None => Ok(vec![files::read_effect(workbench, &arguments.path).await?]),
        }
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let mut window = Window::new(&arguments);
        match stored(&arguments.path)? {
            Some(blob) => window.feed(&self.blob(context.session, &blob).await?),
            None => {
                let workbench = context.workbench.as_ref();
                let resolved = files::resolve(workbench, &arguments.path).await?;
                read_file(workbench, &resolved.path, &mut window).await?;
            }
        }
        Ok(output::text(window.finish(), Taint::BOTH))
    }
}

impl Read {
    /// An output that a call of this session put out. One of another session is nobody's business here, even where
    /// its name is known.
    async fn blob(&self, session: SessionId, blob: &BlobId) -> Result<Bytes, ToolError> {
        let failed = |error: StorageError| ToolError::Reply(error.to_string());
        if !self.was_put_out(session, blob).await.map_err(failed)? {
            return Err(ToolError::Reply(format!(
                "no call of this session put out output:{blob}; run the call again"
            )));
        }
        let bytes = self.blobs.get(blob).await.map_err(failed)?;
        bytes.ok_or_else(|| {
            ToolError::Reply(format!(
                "there is no stored output:{blob}; run the call again"
            ))
        })
    }
}

impl Read {
    /// Whether the session's journal says that one of its calls ended with this output.
    async fn was_put_out(&self, session: SessionId, blob: &BlobId) -> Result<bool, StorageError> {
        let mut after = 0;
        loop {
            let records = self
                .journal
                .read(Some(session), after, RECORDS_PER_READ)
                .await?;
            let is_it = |record: &Record| matches!(&record.event, Event::ToolCallEnded { whole: Some(whole), .. } if whole == blob);
            match records.last() {
                _ if records.iter().any(is_it) => return Ok(true),
                Some(last) => after = last.seq,
                None => return Ok(false),
            }
        }
    }
}

/// The stored output that a path names, if it names one.
fn stored(path: &str) -> Result<Option<BlobId>, ToolError> {
    path.strip_prefix("output:")
        .map(|hash| hash.parse::<BlobId>())
        .transpose()
        .map_err(|error| ToolError::Reply(error.to_string()))
}

async fn read_file(
    workbench: &dyn Workbench,
    path: &Path,
    window: &mut Window,
) -> Result<(), ToolError> {
    let name = files::shown(workbench, path);
    let size = files::must_be_file(workbench, path, &name).await?;
    let mut offset = 0;
    while offset < size.min(REACH_BYTES_MAX) && !window.is_full() {
        let chunk = workbench
            .read(path, offset, CHUNK_BYTES)
            .await
            .map_err(reply)?;
        if chunk.is_empty() {
            break;
        }
        if offset == 0 {
            refuse_bytes(&chunk, &name, size)?;
        }
        offset += chunk.len() as u64;
        window.feed(&chunk);
    }
    window.has_more |= offset < size;
    Ok(())
}

fn refuse_bytes(chunk: &[u8], name: &str, size: u64) -> Result<(), ToolError> {
    if let Some(kind) = files::picture(chunk) {
        return Err(ToolError::Reply(format!(
            "{name} is a {kind} picture ({size} bytes); pictures can't be read yet"
        )));
    }
    if files::is_binary(chunk) {
        return Err(ToolError::Reply(format!(
            "{name} is not text ({size} bytes); look at it with a program, such as `file` or `strings`, through shell"
        )));
    }
    Ok(())
}

/// The lines that were asked for, out of bytes that come in pieces.
struct Window {
    first: usize,
    lines: usize,
    /// Lines that ended so far.
    passed: usize,
    kept: Vec<u8>,
    has_more: bool,
    ends_in_line: bool,
}

impl Window {
    fn new(arguments: &Arguments) -> Self {
        Self {
            first: arguments.offset_line.unwrap_or(1).max(1),
            lines: arguments.lines.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX),
            passed: 0,
            kept: Vec::new(),
            has_more: false,
            ends_in_line: false,
        }
    }

    fn is_full(&self) -> bool {
        self.has_more
    }

    fn feed(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_past = self.passed + 1 >= self.first.saturating_add(self.lines);
            if is_past || self.kept.len() + line.len() > OUTPUT_BYTES_MAX {
                self.has_more = true;
                return;
            }
            if self.passed + 1 >= self.first {
                self.kept.extend_from_slice(line);
            }
            self.ends_in_line = !line.ends_with(b"\n");
            self.passed += usize::from(!self.ends_in_line);
        }
    }

    fn finish(self) -> String {
        let total = self.passed + usize::from(self.ends_in_line);
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        if total == 0 {
            return "[the file is empty]".to_owned();
        }
        if total < self.first {
            return format!("[there are only {total} lines]");
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let first = self.first;
        text + &match (first, self.has_more) {
            (1, false) if total == 1 => "[1 line in all]".to_owned(),
            (1, false) => format!("[{total} lines in all]"),
            (_, false) => format!("[lines {first} to {total}; this is the end]"),
            (_, true) => {
                let next = total + 1;
                format!("[lines {first} to {total}; read on with offset_line {next}]")
            }
        }
    }
}
