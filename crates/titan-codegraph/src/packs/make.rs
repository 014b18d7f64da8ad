//! How a pack is put together.

use super::PackPorts;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use titan_protocol::{
    ClientError, CodeFile, Commit, EntryKind, FileHistory, HistoryQuestion, MemoryDocument,
    MemoryOrigin, MemoryQuestion, PACK_BYTES_MAX, Pack, PackKind, PackLine, PackPart, UnixMillis,
    Workbench,
};
use tokio::time::Instant;

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
    let own = path.parent().unwrap_or(path);
    let repository = repository_of(own).await;
    repository.unwrap_or_else(|| own.to_owned())
}

/// The closest repository that a folder is in.
pub(super) async fn repository_of(folder: &Path) -> Option<PathBuf> {
    for folder in folder.ancestors() {
        if tokio::fs::metadata(folder.join(".git")).await.is_ok() {
            return Some(folder.to_owned());
        }
    }
    None
}

/// All that is known about a file, and whether that is all that there will be. What can't be found out is a gap.
///
/// # Errors
/// As [`place`].
pub(super) async fn pack(ports: &PackPorts, path: &Path) -> Result<(Pack, bool), ClientError> {
    let Found {
        mut pack,
        names,
        is_settled,
    } = without_notes(ports, path, None).await?;
    let question = MemoryQuestion {
        text: names.join(" "),
        limit: NOTES_ASKED,
        with_history: false,
    };
    match ports.memory.recall(question).await {
        Ok(hits) => {
            let documents = hits.into_iter().map(|hit| hit.document);
            pack.parts.extend(notes(documents, &names));
        }
        Err(error) => pack
            .parts
            .push(part(PackKind::Notes, Vec::new(), Some(error.to_string()))),
    }
    Ok((finished(pack), is_settled))
}

/// What was found out about a file.
pub(super) struct Found {
    pub(super) pack: Pack,
    /// What notes would call it.
    names: Vec<String>,
    /// Whether nothing of its code is still being worked out.
    is_settled: bool,
}

/// What its code and its history tell of a file. What is not known by a moment is a gap.
///
/// # Errors
/// As [`place`].
pub(super) async fn without_notes(
    ports: &PackPorts,
    path: &Path,
    until: Option<Instant>,
) -> Result<Found, ClientError> {
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
    let code = async {
        let code = ports.code.file(&place.folder, &relative, SYMBOLS_MAX);
        code.await.map_err(|error| error.to_string())
    };
    let history = async {
        let history = ports.history.of_file(place.workbench.as_ref(), question);
        history.await.map_err(|error| error.to_string())
    };
    let (code, history) = tokio::join!(by(until, code), by(until, history));
    let names = names(&relative, code.as_ref().ok());
    let mut parts = Vec::new();
    let is_settled = code.as_ref().map_or(true, |code| code.unsettled == 0);
    match code {
        Ok(code) => {
            parts.push(part(PackKind::About, about(&code, &relative), None));
            parts.extend(of_code(&code));
        }
        Err(gap) => parts.push(part(PackKind::Outline, Vec::new(), Some(gap))),
    }
    match history {
        Ok(history) => {
            let gap = history.gaps.first().cloned();
            parts.push(part(PackKind::History, changes(&history), gap));
            parts.push(part(PackKind::Bugs, bugs(&history), None));
        }
        Err(gap) => parts.push(part(PackKind::History, Vec::new(), Some(gap))),
    }
    let pack = Pack {
        path: place.path,
        folder: place.folder,
        made_at,
        parts,
    };
    Ok(Found {
        pack,
        names,
        is_settled,
    })
}

/// What is found out by a moment, if there is one.
pub(super) async fn by<T>(
    until: Option<Instant>,
    found: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    match until {
        None => found.await,
        Some(until) => match tokio::time::timeout_at(until, found).await {
            Ok(found) => found,
            Err(_) => Err("it was not found out in time".to_owned()),
        },
    }
}

/// What code defines, and who uses it.
pub(super) fn of_code(code: &CodeFile) -> [PackPart; 2] {
    let gap = (code.unsettled > 0).then(|| "who uses it is still being worked out".to_owned());
    [
        part(PackKind::Outline, outline(code), None),
        part(PackKind::Callers, callers(code), gap),
    ]
}

/// Documents that say one of the names, by where they come from, those of the person first.
pub(super) fn notes(
    documents: impl IntoIterator<Item = MemoryDocument>,
    names: &[String],
) -> [PackPart; 2] {
    let about = documents.into_iter().filter(|it| is_about(it, names));
    let mut about: Vec<MemoryDocument> = about.collect();
    about.sort_by_key(|it| it.origin != MemoryOrigin::Person);
    let (decided, other): (Vec<_>, Vec<_>) = about
        .into_iter()
        .partition(|it| matches!(it.origin, MemoryOrigin::Turn { .. }));
    [
        part(PackKind::Decisions, noted(&decided), None),
        part(PackKind::Notes, noted(&other), None),
    ]
}

/// A pack without empty parts, within its bounds.
pub(super) fn finished(mut pack: Pack) -> Pack {
    pack.parts
        .retain(|part| !part.lines.is_empty() || part.gap.is_some());
    bound(&mut pack.parts);
    pack
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

fn outline(code: &CodeFile) -> Vec<PackLine> {
    let symbol = |symbol: &titan_protocol::CodeSymbol| {
        let words = match symbol.signature.is_empty() {
            true => format!("{} {}", symbol.kind, symbol.name),
            false => symbol.signature.clone(),
        };
        told(&words, format!("{}:{}", line(&symbol.path), symbol.line))
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

fn noted(documents: &[MemoryDocument]) -> Vec<PackLine> {
    let note = |document: &MemoryDocument| {
        let foreign = match document.origin {
            MemoryOrigin::Untrusted => " of strangers",
            _ => "",
        };
        told(
            &document.text,
            format!("note{foreign} {}", line(&document.id)),
        )
    };
    documents.iter().take(NOTES_SHOWN).map(note).collect()
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
fn is_about(document: &MemoryDocument, names: &[String]) -> bool {
    let text = format!("{}\n{}", document.title, document.text);
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
