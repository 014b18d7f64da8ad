//! Reading the engine's log: entries of the files that [`crate::logging`] writes.
//!
//! A position is the file's inode and a place in it, so that it stays true when the file is set aside.

use crate::logging;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use titan_protocol::{ClientError, ENTRIES_MAX, LogEntry, LogLevel, LogPage, LogQuery, Logs};

/// What of a text is shown, in characters.
const TEXT_CHARS_MAX: usize = 4_000;
/// Fields of an entry that are shown.
const FIELDS_MAX: usize = 32;

/// A folder of logs.
pub(crate) struct LogFolder(PathBuf);

impl LogFolder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }
}

#[async_trait]
impl Logs for LogFolder {
    async fn read(&self, query: LogQuery) -> Result<LogPage, ClientError> {
        let folder = self.0.clone();
        let read = tokio::task::spawn_blocking(move || page(&folder, &query)).await;
        read.map_err(|error| ClientError::Refused(format!("the log can't be read: {error}")))?
    }
}

/// An entry from its line. What is no entry, since something else wrote it, is shown as it is.
pub(crate) fn entry(line: &str) -> LogEntry {
    let mut entry = LogEntry {
        at: String::new(),
        level: LogLevel::Info,
        target: String::new(),
        message: String::new(),
        fields: BTreeMap::new(),
    };
    let Ok(Value::Object(written)) = serde_json::from_str(line) else {
        entry.message = shortened(line.trim_end());
        return entry;
    };
    let text = |name: &str| {
        written
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    entry.at = shortened(text("timestamp"));
    entry.level = level(text("level"));
    entry.target = shortened(text("target"));
    let fields = written.get("fields").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        let value = match value {
            Value::String(text) => shortened(text),
            other => shortened(&other.to_string()),
        };
        if name == "message" {
            entry.message = value;
        } else if entry.fields.len() < FIELDS_MAX {
            entry.fields.insert(shortened(name), value);
        }
    }
    entry
}

fn level(name: &str) -> LogLevel {
    match name {
        "ERROR" => LogLevel::Error,
        "WARN" => LogLevel::Warn,
        "DEBUG" => LogLevel::Debug,
        "TRACE" => LogLevel::Trace,
        _ => LogLevel::Info,
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A place in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    inode: u64,
    byte: u64,
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let (inode, byte) = text.split_once('-')?;
        Some(Self {
            inode: inode.parse().ok()?,
            byte: byte.parse().ok()?,
        })
    }

    fn told(self) -> String {
        format!("{}-{}", self.inode, self.byte)
    }
}

fn page(folder: &Path, query: &LogQuery) -> Result<LogPage, ClientError> {
    let unread = |error: std::io::Error| {
        let path = logging::current(folder);
        ClientError::Refused(format!("{} can't be read: {error}", path.display()))
    };
    let files = files(folder).map_err(unread)?;
    let limit = query.limit.clamp(1, ENTRIES_MAX);
    let sought = Sought::new(query);
    match &query.after {
        None => newest(files, &sought, limit).map_err(unread),
        Some(after) => {
            let odd = || ClientError::Refused("`after` is no position in the log".to_owned());
            let after = Position::parse(after).ok_or_else(odd)?;
            since(files, after, &sought, limit).map_err(unread)
        }
    }
}

/// The files that are there, newest first.
fn files(folder: &Path) -> std::io::Result<Vec<File>> {
    let mut files = Vec::new();
    for path in logging::all(folder) {
        match File::open(path) {
            Ok(file) => files.push(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn newest(files: Vec<File>, sought: &Sought, limit: usize) -> std::io::Result<LogPage> {
    let mut page = LogPage::default();
    for mut file in files {
        let (text, end) = whole_lines(&mut file, 0)?;
        if page.next.is_empty() {
            page.next = end.told();
        }
        let entries = text.lines().rev().filter_map(|line| sought.entry(line));
        page.entries
            .extend(entries.take(limit - page.entries.len()));
        if page.entries.len() == limit {
            break;
        }
    }
    page.entries.reverse();
    Ok(page)
}

fn since(
    files: Vec<File>,
    after: Position,
    sought: &Sought,
    limit: usize,
) -> std::io::Result<LogPage> {
    let mut unread = Vec::new();
    for file in files {
        let is_last = file.metadata()?.ino() == after.inode;
        unread.push((file, if is_last { after.byte } else { 0 }));
        if is_last {
            break;
        }
    }
    let mut page = LogPage {
        entries: Vec::new(),
        next: after.told(),
    };
    for (mut file, begin) in unread.into_iter().rev() {
        let (text, end) = whole_lines(&mut file, begin)?;
        let mut at = Position { byte: begin, ..end };
        for line in text.split_inclusive('\n') {
            if page.entries.len() == limit {
                return Ok(page);
            }
            at.byte += line.len() as u64;
            page.entries.extend(sought.entry(line));
            page.next = at.told();
        }
        page.next = end.told();
    }
    Ok(page)
}

/// What was written from a place on, up to the last line that is whole, and where that ends.
fn whole_lines(file: &mut File, begin: u64) -> std::io::Result<(String, Position)> {
    let inode = file.metadata()?.ino();
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    // A file is set aside when it is full; one that something else made larger is not read to its end.
    file.take(2 * logging::FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    bytes.truncate(end.map_or(0, |end| end + 1));
    let byte = begin + bytes.len() as u64;
    // The program writes nothing else. Where somebody else did, each byte is one character, so that places hold.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().iter().map(|it| ascii(*it)).collect());
    Ok((text, Position { inode, byte }))
}

fn ascii(byte: u8) -> char {
    match byte.is_ascii() {
        true => char::from(byte),
        false => '?',
    }
}

/// What an entry has to be.
struct Sought {
    level: LogLevel,
    /// In lower case.
    words: Vec<String>,
}

impl Sought {
    fn new(query: &LogQuery) -> Self {
        let words = query.words.to_lowercase();
        Self {
            level: query.level.unwrap_or(LogLevel::Trace),
            words: words.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// The entry of a line, if it is one that is sought.
    fn entry(&self, line: &str) -> Option<LogEntry> {
        let entry = entry(line);
        (entry.level >= self.level && self.holds(&entry)).then_some(entry)
    }

    fn holds(&self, entry: &LogEntry) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let fields = entry.fields.iter();
        let fields = fields.map(|(name, value)| format!(" {name}={value}"));
        let text = format!("{} {}", entry.target, entry.message) + &fields.collect::<String>();
        let text = text.to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: &str, message: &str) -> String {
        let fields = serde_json::json!({ "message": message, "pid": 7 });
        let entry = serde_json::json!({ "timestamp": "2026-11-22T10:00:00Z", "level": level, "fields": fields, "target": "titanclaw" });
        format!("{entry}\n")
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn log(&self, lines: &str) {
            use std::io::Write;
            let path = logging::current(self.0.path());
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            file.write_all(lines.as_bytes()).unwrap();
        }

        fn roll(&self) {
            let [to, from] = [1, 0].map(|n| logging::all(self.0.path()).nth(n).unwrap());
            std::fs::rename(from, to).unwrap();
        }

        fn read(&self, query: LogQuery) -> LogPage {
            page(self.0.path(), &query).unwrap()
        }
    }

    fn messages(page: &LogPage) -> Vec<&str> {
        page.entries.iter().map(|it| it.message.as_str()).collect()
    }

    fn limited(limit: usize) -> LogQuery {
        LogQuery {
            limit,
            ..LogQuery::default()
        }
    }

    #[test]
    fn the_newest_come_last_over_all_files() {
        let place = Place::new();
        assert_eq!(place.read(limited(5)), LogPage::default());
        place.log(&(line("INFO", "one") + &line("INFO", "two")));
        place.roll();
        place.log(&(line("WARN", "three") + "{\"half"));
        let page = place.read(limited(5));
        assert_eq!(messages(&page), ["one", "two", "three"]);
        let expected = LogEntry {
            at: "2026-11-22T10:00:00Z".into(),
            level: LogLevel::Warn,
            target: "titanclaw".into(),
            message: "three".into(),
            fields: BTreeMap::from([("pid".into(), "7".into())]),
        };
        assert_eq!(page.entries[2], expected);
        assert_eq!(messages(&place.read(limited(2))), ["two", "three"]);
    }

    #[test]
    fn a_follower_misses_nothing_and_reads_nothing_twice_when_the_file_is_set_aside() {
        let place = Place::new();
        place.log(&line("INFO", "one"));
        let mut after = place.read(limited(1)).next;
        let mut seen = Vec::new();
        let mut follow = |limit| {
            let page = place.read(LogQuery {
                after: Some(after.clone()),
                ..limited(limit)
            });
            after = page.next.clone();
            seen.extend(page.entries.into_iter().map(|it| it.message));
        };
        place.log(&line("INFO", "two")[..9]);
        follow(9);
        place.log(&line("INFO", "two")[9..]);
        follow(9);
        place.log(&(line("INFO", "three") + &line("INFO", "four")));
        follow(1);
        place.roll();
        place.log(&line("INFO", "five"));
        follow(1);
        follow(9);
        follow(9);
        assert_eq!(seen, ["two", "three", "four", "five"]);
    }

    #[test]
    fn entries_are_found_by_level_and_words() {
        let place = Place::new();
        for (level, message) in [
            ("DEBUG", "opened A"),
            ("INFO", "closed a"),
            ("ERROR", "A broke"),
        ] {
            place.log(&line(level, message));
        }
        let found = |level, words: &str| {
            let query = LogQuery {
                level,
                words: words.to_owned(),
                ..limited(9)
            };
            let page = place.read(query);
            messages(&page).join(", ")
        };
        assert_eq!(found(Some(LogLevel::Info), ""), "closed a, A broke");
        assert_eq!(found(None, "a PID=7 e"), "opened A, closed a, A broke");
        assert_eq!(found(Some(LogLevel::Warn), "opened"), "");
    }

    #[test]
    fn what_is_no_entry_or_too_long_is_shown_bounded() {
        let place = Place::new();
        let long = "x".repeat(5_000);
        place.log(&format!("no json\n{}", line("INFO", &long)));
        std::fs::write(logging::all(place.0.path()).nth(1).unwrap(), b"\xff\xfe\n").unwrap();
        let page = place.read(limited(9));
        let expected = ["??", "no json", &format!("{}…", "x".repeat(4_000))];
        assert_eq!(messages(&page), expected);
        let odd = LogQuery {
            after: Some("1".into()),
            ..limited(9)
        };
        assert!(matches!(
            super::page(place.0.path(), &odd),
            Err(ClientError::Refused(_))
        ));
    }
}
