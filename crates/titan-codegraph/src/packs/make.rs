//! How a pack is put together.

use super::PackPorts;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    ClientError, CodeFile, Commit, EntryKind, FileHistory, HistoryQuestion, MemoryHit,
    MemoryOrigin, MemoryQuestion, PACK_BYTES_MAX, Pack, PackKind, PackLine, PackPart, UnixMillis,
    Workbench,
};

/// Symbols and users that are told.
const SYMBOLS_MAX: usize = 60;
const USERS_MAX: usize = 30;
const COMMITS_ASKED: usize = 60;
const COMMITS_SHOWN: usize = 8;
const BUGS_SHOWN: usize = 6;
const NOTES_ASKED: usize = 20;
const NOTES_SHOWN: usize = 6;
/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 300;
/// Names that notes are looked for by.
const NAMES_MAX: usize = 12;
/// Shorter names are words like any other.
const NAME_CHARS_MIN: usize = 5;

/// Where a file is.
pub(super) struct Place {
    pub(super) path: PathBuf,
    folder: PathBuf,
    workbench: Arc<dyn Workbench>,
}

/// The file behind a path, in the repository that it is in, or else in its own folder.
///
/// # Errors
/// When it is no file, or lies where nobody may read.
pub(super) async fn place(ports: &PackPorts, path: &Path) -> Result<Place, ClientError> {
    let shown = line(&path.to_string_lossy());
    let refused = |why: String| ClientError::Refused(format!("{shown}: {why}"));
    if !path.is_absolute() {
        return Err(refused("the path has to be absolute".to_owned()));
    }
    let real = tokio::fs::canonicalize(path).await;
    let real = real.map_err(|error| refused(format!("it can't be found: {error}")))?;
    let folder = folder_of(&real).await;
    let workbench = (ports.open_workbench)(&folder).map_err(|error| refused(error.to_string()))?;
    let resolved = workbench.resolve(&real.to_string_lossy()).await;
    let resolved = resolved.map_err(|error| refused(error.to_string()))?;
    if !resolved.in_workspace {
        return Err(refused(
            "it lies among keys, where nothing is read".to_owned(),
        ));
    }
    let found = workbench.metadata(&resolved.path).await;
    match found.map_err(|error| refused(error.to_string()))? {
        Some(found) if found.kind == EntryKind::File => Ok(Place {
            path: resolved.path,
            folder: workbench.root().to_owned(),
            workbench,
        }),
        _ => Err(refused("it is no file".to_owned())),
    }
}

/// The closest folder with a repository, or the file's own.
async fn folder_of(path: &Path) -> PathBuf {
    for folder in path.ancestors().skip(1) {
        if tokio::fs::metadata(folder.join(".git")).await.is_ok() {
            return folder.to_owned();
        }
    }
    path.parent().unwrap_or(path).to_owned()
}

/// All that is known about a file. What can't be found out is a gap.
///
/// # Errors
/// As [`place`].
pub(super) async fn pack(ports: &PackPorts, path: &Path) -> Result<Pack, ClientError> {
    let made_at = (ports.clock)();
    let place = place(ports, path).await?;
    let relative = place
        .path
        .strip_prefix(&place.folder)
        .unwrap_or(&place.path);
    let relative = relative.to_string_lossy().into_owned();
    let question = HistoryQuestion {
        path: place.path.clone(),
        lines: None,
        commits_max: COMMITS_ASKED,
    };
    let (code, history) = tokio::join!(
        ports.code.file(&place.folder, &relative, SYMBOLS_MAX),
        ports.history.of_file(place.workbench.as_ref(), question)
    );
    let names = names(&relative, code.as_ref().ok());
    let question = MemoryQuestion {
        text: names.join(" "),
        limit: NOTES_ASKED,
        with_history: false,
    };
    let notes = ports.memory.recall(question).await;
    let mut parts = Vec::new();
    match code {
        Ok(code) => {
            parts.push(part(PackKind::About, about(&code, &relative), None));
            parts.push(part(PackKind::Outline, outline(&code, &relative), None));
            parts.push(part(PackKind::Callers, callers(&code), None));
        }
        Err(error) => parts.push(part(PackKind::Outline, Vec::new(), Some(error.to_string()))),
    }
    match history {
        Ok(history) => {
            let gap = history.gaps.first().cloned();
            parts.push(part(PackKind::History, changes(&history), gap));
            parts.push(part(PackKind::Bugs, bugs(&history), None));
        }
        Err(error) => parts.push(part(PackKind::History, Vec::new(), Some(error.to_string()))),
    }
    match notes {
        Ok(hits) => {
            let is_decided =
                |hit: &&MemoryHit| matches!(hit.document.origin, MemoryOrigin::Turn { .. });
            let about: Vec<&MemoryHit> = hits.iter().filter(|hit| is_about(hit, &names)).collect();
            let (decided, other): (Vec<&MemoryHit>, Vec<&MemoryHit>) =
                about.into_iter().partition(is_decided);
            parts.push(part(PackKind::Decisions, noted(&decided), None));
            parts.push(part(PackKind::Notes, noted(&other), None));
        }
        Err(error) => parts.push(part(PackKind::Notes, Vec::new(), Some(error.to_string()))),
    }
    parts.retain(|part| !part.lines.is_empty() || part.gap.is_some());
    bound(&mut parts);
    Ok(Pack {
        path: place.path,
        folder: place.folder,
        made_at,
        parts,
    })
}

fn part(kind: PackKind, lines: Vec<PackLine>, gap: Option<String>) -> PackPart {
    let gap = gap.map(|gap| line(&gap));
    PackPart { kind, lines, gap }
}

fn told(text: &str, source: impl Into<String>) -> PackLine {
    PackLine {
        text: line(text),
        source: source.into(),
    }
}

/// Leaves out the last lines of the largest part until all fits.
fn bound(parts: &mut [PackPart]) {
    let size = |part: &PackPart| -> usize {
        part.lines
            .iter()
            .map(|it| it.text.len() + it.source.len())
            .sum()
    };
    while parts.iter().map(size).sum::<usize>() > PACK_BYTES_MAX {
        let Some(largest) = parts.iter_mut().max_by_key(|part| size(part)) else {
            return;
        };
        largest.lines.pop();
    }
}

/// A sentence, and the tags.
fn about(code: &CodeFile, path: &str) -> Vec<PackLine> {
    let tags = match code.tags.as_slice() {
        [] => String::new(),
        tags => format!("tags: {}", tags.join(", ")),
    };
    [code.summary.clone(), tags]
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| told(text, format!("{path}:1")))
        .collect()
}

fn outline(code: &CodeFile, path: &str) -> Vec<PackLine> {
    let symbol = |symbol: &titan_protocol::CodeSymbol| {
        let words = match symbol.signature.is_empty() {
            true => format!("{} {}", symbol.kind, symbol.name),
            false => symbol.signature.clone(),
        };
        told(&words, format!("{path}:{}", symbol.line))
    };
    code.symbols.iter().map(symbol).collect()
}

fn callers(code: &CodeFile) -> Vec<PackLine> {
    let user = |user: &titan_protocol::CodeUser| {
        let words = format!("{} is used by {}", user.of, user.by.symbol.name);
        told(&words, format!("{}:{}", line(&user.by.path), user.by.line))
    };
    code.users.iter().take(USERS_MAX).map(user).collect()
}

fn changes(history: &FileHistory) -> Vec<PackLine> {
    history
        .commits
        .iter()
        .take(COMMITS_SHOWN)
        .map(change)
        .collect()
}

/// What mended something, and what was taken back.
fn bugs(history: &FileHistory) -> Vec<PackLine> {
    let wrong = history
        .commits
        .iter()
        .filter(|it| it.mends || it.reverted_by.is_some());
    wrong.take(BUGS_SHOWN).map(change).collect()
}

fn change(commit: &Commit) -> PackLine {
    let mut words = format!("{} {}: {}", day(commit.at), commit.author, commit.subject);
    for issue in &commit.issues {
        if !words.contains(&issue.name) {
            words.push_str(&format!(" [{}]", issue.name));
        }
    }
    if commit.reverted_by.is_some() {
        words.push_str(" [taken back]");
    }
    if let Some(why) = commit.why.lines().find(|line| !line.trim().is_empty()) {
        words.push_str(&format!(" ({})", why.trim()));
    }
    let hash = commit.hash.get(..10).unwrap_or(&commit.hash);
    told(&words, format!("commit {hash}"))
}

fn noted(hits: &[&MemoryHit]) -> Vec<PackLine> {
    let note = |hit: &&MemoryHit| {
        let document = &hit.document;
        let foreign = match document.origin {
            MemoryOrigin::Untrusted => " of strangers",
            _ => "",
        };
        told(
            &document.text,
            format!("note{foreign} {}", line(&document.id)),
        )
    };
    hits.iter().take(NOTES_SHOWN).map(note).collect()
}

/// What notes about a file would call it: its path, its name, and what it defines.
fn names(path: &str, code: Option<&CodeFile>) -> Vec<String> {
    let mut names = vec![path.to_owned()];
    let name = Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    names.extend(name.filter(|name| name != path));
    let symbols = code.into_iter().flat_map(|code| &code.symbols);
    let defined = symbols.map(|symbol| symbol.name.rsplit('.').next().unwrap_or_default());
    for name in defined.filter(|name| name.chars().count() >= NAME_CHARS_MIN) {
        if names.len() == NAMES_MAX {
            break;
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Whether a note says one of the names, as a whole word. What only means something alike is not about the file.
fn is_about(hit: &MemoryHit, names: &[String]) -> bool {
    let text = format!("{}\n{}", hit.document.title, hit.document.text);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    names.iter().any(|name| {
        text.match_indices(name.as_str()).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
    })
}

/// Text in one bounded line without what steers or hides.
pub(super) fn line(text: &str) -> String {
    let text = crate::history::clean(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.len() > LINE_BYTES_MAX {
        true => format!("{}…", &text[..text.floor_char_boundary(LINE_BYTES_MAX)]),
        false => text,
    }
}

fn day(at: UnixMillis) -> String {
    let at = i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%d")
        .to_string()
}
