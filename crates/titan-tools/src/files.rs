//! What the file tools share: where a path leads, text files as text, and how paths are shown.

use crate::output::reply;
use std::path::Path;
use titan_protocol::{Effect, EntryKind, Resolved, ToolError, Workbench};

/// Larger files are not edited or searched, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The longest path that a call may give, in characters.
pub(crate) const PATH_CHARS_MAX: usize = 4_096;
/// How much of a file is looked at to tell text from bytes.
const SNIFFED_BYTES: usize = 8 * 1024;
/// Entries that are gone through below one folder.
pub(crate) const ENTRIES_MAX: usize = 200_000;

/// Where a path leads.
pub(crate) async fn resolve(workbench: &dyn Workbench, path: &str) -> Result<Resolved, ToolError> {
    if path.is_empty() {
        return Err(ToolError::Reply("the path is empty".to_owned()));
    }
    workbench.resolve(path).await.map_err(reply)
}

/// The effect of reading there.
pub(crate) async fn read_effect(
    workbench: &dyn Workbench,
    path: &str,
) -> Result<Effect, ToolError> {
    let Resolved { path, in_workspace } = resolve(workbench, path).await?;
    Ok(Effect::Read { path, in_workspace })
}

/// The effect of writing there.
pub(crate) async fn write_effect(
    workbench: &dyn Workbench,
    path: &str,
) -> Result<Effect, ToolError> {
    let Resolved { path, in_workspace } = resolve(workbench, path).await?;
    Ok(Effect::Write { path, in_workspace })
}

/// A path as the model is shown it: relative in the workspace, absolute elsewhere.
pub(crate) fn shown(workbench: &dyn Workbench, path: &Path) -> String {
    let relative = path.strip_prefix(workbench.root()).unwrap_or(path);
    match relative.to_string_lossy() {
        text if text.is_empty() => ".".to_owned(),
        text => text.into_owned(),
    }
}

/// A whole text file, to be changed.
pub(crate) async fn text_to_change(
    workbench: &dyn Workbench,
    path: &Path,
) -> Result<String, ToolError> {
    let name = shown(workbench, path);
    let bytes = must_be_file(workbench, path, &name).await?;
    if bytes > FILE_BYTES_MAX {
        return Err(ToolError::Reply(format!(
            "{name} has {bytes} bytes; files above {FILE_BYTES_MAX} are not changed by this tool"
        )));
    }
    let content = workbench
        .read(path, 0, FILE_BYTES_MAX)
        .await
        .map_err(reply)?;
    String::from_utf8(content.into()).map_err(|error| {
        ToolError::Reply(format!(
            "{name} is not UTF-8 text ({error}); it was not changed"
        ))
    })
}

/// The size of a file that must be there.
pub(crate) async fn must_be_file(
    workbench: &dyn Workbench,
    path: &Path,
    name: &str,
) -> Result<u64, ToolError> {
    let metadata = workbench.metadata(path).await.map_err(reply)?;
    match metadata.map(|metadata| (metadata.kind, metadata.bytes)) {
        Some((EntryKind::File, bytes)) => Ok(bytes),
        Some((EntryKind::Folder, _)) => Err(ToolError::Reply(format!(
            "{name} is a folder; see what is in it with list"
        ))),
        Some((EntryKind::Other, _)) => Err(ToolError::Reply(format!(
            "{name} is a device, socket or pipe, not a file"
        ))),
        None => Err(ToolError::Reply(format!(
            "{name} does not exist; find it with glob or list"
        ))),
    }
}

/// Whether bytes are no text, judged by their beginning.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0)
}

/// The kind of picture that bytes begin.
pub(crate) fn picture(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
    ];
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Some("WebP");
    }
    MAGIC
        .iter()
        .filter(|(magic, _)| *magic != b"BM" || is_binary(bytes))
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|(_, name)| *name)
}
