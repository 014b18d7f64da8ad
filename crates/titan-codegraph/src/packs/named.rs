//! What a question speaks of: files by their path, and code by its name.

use super::{PackPorts, make};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{CodeDirection, CodeFile, CodeUser, MemoryQuery, Pack};
use tokio::time::Instant;

/// Words of a question that are looked at.
const WORDS_MAX: usize = 400;
/// Names of one question that are looked for.
const NAMES_MAX: usize = 8;
/// Shorter names are words like any other.
const NAME_CHARS_MIN: usize = 3;
/// What one name may stand for before it tells nothing.
const MEANT_MAX: usize = 4;
/// Users of what a name stands for.
const USERS_MAX: usize = 8;
const NOTES_ASKED: usize = 10;

/// What a question may call a file or a piece of code, each once: paths, names of files, names that are written as only
/// code is, and all that stands between backticks.
pub(super) fn names(asked: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for word in asked.split_whitespace().take(WORDS_MAX) {
        let is_quoted = word.contains('`');
        let name = word.trim_matches(|c: char| !c.is_alphanumeric() && !"_/.".contains(c));
        let name = name.trim_end_matches(['.', '/']);
        let name = name.strip_suffix("'s").unwrap_or(name);
        let is_called = word.contains(&format!("{name}()"));
        let is_new = !names.iter().any(|known| known == name);
        let is_long = name.chars().count() >= NAME_CHARS_MIN;
        if is_long && is_new && (is_quoted || is_called || is_written_as_code(name)) {
            names.push(name.to_owned());
        }
        if names.len() == NAMES_MAX {
            break;
        }
    }
    names
}

/// Whether a word is no word of a sentence: a path, the name of a file, one with `_` or `::`, or with a capital inside.
fn is_written_as_code(word: &str) -> bool {
    if word.contains("://") || !word.contains(char::is_alphabetic) {
        return false;
    }
    let has_hump = word
        .chars()
        .zip(word.chars().skip(1))
        .any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    has_hump || word.contains(['_', '/']) || word.contains("::") || has_extension(word)
}

/// `name.ext`, and not the end of a sentence that lacks a space.
fn has_extension(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(name, extension)| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        name.len() > 1 && (1..=5).contains(&extension.len()) && extension.chars().all(is_plain)
    })
}

/// What is known of a name of a question, with `beside` it, by a moment: of the file of this path, or else of what code defines by it. Notes are those that
/// say it.
pub(super) async fn pack(
    ports: &PackPorts,
    workspace: &Path,
    name: &str,
    beside: &[String],
    until: Instant,
) -> Option<Arc<Pack>> {
    let (mut pack, called) = match file_in(workspace, name).await {
        Some(path) => {
            let known = make::without_notes(ports, &path, Some(until)).await;
            let alone = path.file_name().map(|it| it.to_string_lossy().into_owned());
            (known.ok()?.pack, alone.unwrap_or_default())
        }
        None => {
            let pack = of_code(ports, workspace, name, beside, until).await?;
            (pack, name.to_owned())
        }
    };
    let query = MemoryQuery {
        words: called.clone(),
        limit: NOTES_ASKED,
        ..MemoryQuery::default()
    };
    let found = tokio::time::timeout_at(until, ports.memory.find(query)).await;
    if let Ok(Ok(found)) = found {
        let valid = found.into_iter().filter(|it| it.superseded_by.is_none());
        pack.parts.extend(make::notes(valid, &[called]));
    }
    let pack = make::finished(pack);
    let is_empty = pack.parts.iter().all(|part| part.lines.is_empty());
    (!is_empty).then(|| Arc::new(pack))
}

/// The file of this path in a workspace. What lies outside is not looked at for a word.
async fn file_in(workspace: &Path, name: &str) -> Option<PathBuf> {
    let path = tokio::fs::canonicalize(workspace.join(name)).await.ok()?;
    let is_file = tokio::fs::metadata(&path)
        .await
        .is_ok_and(|it| it.is_file());
    (is_file && path.starts_with(workspace)).then_some(path)
}

/// What a repository's code defines by a name, and who uses it; where a file is named too that defines it, that alone. What
/// is no repository is not read for a word.
async fn of_code(
    ports: &PackPorts,
    workspace: &Path,
    name: &str,
    beside: &[String],
    until: Instant,
) -> Option<Pack> {
    let folder = make::repository_of(workspace).await?;
    let uses = ports
        .code
        .uses(&folder, name, CodeDirection::Callers, USERS_MAX);
    let mut uses = tokio::time::timeout_at(until, uses).await.ok()?.ok()?;
    let is_beside = |path: &str| beside.iter().any(|name| path.ends_with(name.as_str()));
    if uses.of.iter().any(|it| is_beside(&it.path)) {
        uses.of.retain(|it| is_beside(&it.path));
    }
    let first = uses.of.first().filter(|_| uses.of.len() <= MEANT_MAX)?;
    let path = folder.join(&first.path);
    let called = first.name.clone();
    let users = uses.uses.into_iter().map(|by| CodeUser {
        of: called.clone(),
        by,
    });
    let code = CodeFile {
        users: users.collect(),
        symbols: uses.of,
        unsettled: uses.unsettled,
        ..CodeFile::default()
    };
    Some(Pack {
        parts: make::of_code(&code).into(),
        path,
        folder,
        made_at: (ports.clock)(),
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_what_no_sentence_is_made_of() {
        for (asked, expected) in [
            (
                "What is Rust for? It is 1.5 times faster, e.g. here.",
                &[][..],
            ),
            ("Who calls parse_all, and why?", &["parse_all"]),
            ("Explain src/lib.rs.", &["src/lib.rs"]),
            ("Is `Pipeline` used in main.rs?", &["Pipeline", "main.rs"]),
            (
                "What does run() do, or Engine::open?",
                &["run", "Engine::open"],
            ),
            (
                "See https://example.org/a_b and ToolSpec's fields",
                &["ToolSpec"],
            ),
            ("parse_all parse_all", &["parse_all"]),
        ] {
            assert_eq!(names(asked), expected, "{asked}");
        }
    }
}
