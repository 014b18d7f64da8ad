//! Logs for operators: fields as JSON lines in the home, bounded in size. What people see comes from events alone.

use crate::cli::tell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};
use titan_exec::Redactor;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A log file that reaches this size is set aside.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Files that were set aside; older ones are deleted.
const OLD_FILES_MAX: u32 = 3;

/// What is taken out of every record: whatever looks like a key, and what [`hide`] was told of.
static HIDDEN: LazyLock<RwLock<Redactor>> = LazyLock::new(RwLock::default);

/// Takes what this redactor knows out of all that is logged from now on.
pub(crate) fn hide(redactor: Redactor) {
    *HIDDEN.write().unwrap_or_else(PoisonError::into_inner) = redactor;
}

/// The newest log file in a folder of logs.
pub(crate) fn current(folder: &Path) -> PathBuf {
    folder.join("titanclaw.log")
}

/// All log files that there may be, newest first.
pub(crate) fn all(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let current = current(folder);
    let old = (1..=OLD_FILES_MAX).map({
        let current = current.clone();
        move |n| old(&current, n)
    });
    std::iter::once(current).chain(old)
}

/// The file that was set aside as the `n`th.
fn old(path: &Path, n: u32) -> PathBuf {
    path.with_extension(format!("log.{n}"))
}

/// Sends this process's log to the folder. A second call does nothing; a folder that can't be written is told once
/// on standard error and logging stays off.
pub(crate) fn start(folder: &Path, filter: Option<&str>) {
    let log = match RollingFile::open(current(folder), FILE_BYTES_MAX) {
        Ok(log) => Log(Mutex::new(log)),
        Err(error) => {
            tell(&format!(
                "no log is kept: {} can't be written ({error})",
                folder.display()
            ));
            return;
        }
    };
    let filter = EnvFilter::try_new(filter.unwrap_or("info")).unwrap_or_else(|error| {
        tell(&format!(
            "TITANCLAW_LOG is not understood ({error}); info is logged"
        ));
        EnvFilter::new("info")
    });
    let subscriber = records(filter, log);
    // An error here means that a log is kept already.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            pid = std::process::id(),
            "started"
        );
    }
}

/// Everything that is logged as one line of JSON, whatever it holds.
fn records(filter: EnvFilter, log: Log) -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(log)
        .finish()
}

struct Log(Mutex<RollingFile>);

impl<'a> MakeWriter<'a> for Log {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine(&self.0)
    }
}

struct LogLine<'a>(&'a Mutex<RollingFile>);

impl Write for LogLine<'_> {
    /// Takes a whole record, as the subscriber writes them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let hidden = HIDDEN.read().unwrap_or_else(PoisonError::into_inner);
        let shown = hidden.redact(&text);
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(shown.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is set aside as `NAME.1` when it is full, and `NAME.1` as `NAME.2`, up to a maximum.
struct RollingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl RollingFile {
    fn open(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = append_to(&path)?;
        Ok(Self {
            bytes: file.metadata()?.len(),
            path,
            file,
            bytes_max,
        })
    }

    fn roll(&mut self) -> io::Result<()> {
        for n in (1..OLD_FILES_MAX).rev() {
            let (from, to) = (self.old(n), self.old(n + 1));
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        std::fs::rename(&self.path, self.old(1))?;
        self.file = append_to(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    fn old(&self, n: u32) -> PathBuf {
        old(&self.path, n)
    }
}

impl Write for RollingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + bytes.len() as u64 > self.bytes_max {
            self.roll()?;
        }
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_whatever_is_logged_stays_one_escaped_record() {
        let hostile = [
            "two\nlines",
            "a\r\n{\"level\":\"ERROR\",\"fields\":{\"message\":\"forged\"}}",
            "\"},\"level\":\"ERROR\",\"x\":{\"y\":\"",
            "\u{1b}[2J\u{1b}]0;title\u{7}",
            "null\0 and \u{2028} and \u{85}",
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = current(folder.path());
        let log = Log(Mutex::new(
            RollingFile::open(path.clone(), u64::MAX).unwrap(),
        ));
        tracing::subscriber::with_default(records(EnvFilter::new("info"), log), || {
            for text in hostile {
                tracing::info!(header = text, "{text}");
            }
        });
        let written = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = written.split_terminator('\n').collect();
        assert_eq!(lines.len(), hostile.len(), "{written}");
        for (line, text) in lines.iter().zip(hostile) {
            assert!(!line.contains(|c: char| c.is_ascii_control()), "{line:?}");
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["level"], "INFO");
            assert_eq!(record["fields"]["message"], text);
            assert_eq!(record["fields"]["header"], text);
        }
    }

    #[test]
    fn p7_a_secret_that_is_logged_is_named_and_not_shown() {
        let own = "correct-horse-battery-staple-7";
        let foreign = format!("{}_Zk3bV9xQ2mLw7TfYc1Ns8RdHg5PjUe4aKoXi", "ghp");
        hide(Redactor::new([("OWN".to_owned(), own.to_owned())]));
        let folder = tempfile::tempdir().unwrap();
        let path = current(folder.path());
        let log = Log(Mutex::new(
            RollingFile::open(path.clone(), u64::MAX).unwrap(),
        ));
        tracing::subscriber::with_default(records(EnvFilter::new("info"), log), || {
            tracing::info!(header = format!("key {own}"), "failed with {foreign}");
        });
        let written = std::fs::read_to_string(&path).unwrap();
        let record: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(
            record["fields"]["message"],
            "failed with [secret GitHub token]"
        );
        assert_eq!(record["fields"]["header"], "key [secret OWN]");
    }

    #[test]
    fn a_log_never_grows_beyond_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = current(folder.path());
        let mut log = RollingFile::open(path.clone(), 100).unwrap();
        for n in 0..100 {
            writeln!(log, "{n:029}").unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "titanclaw.log",
                "titanclaw.log.1",
                "titanclaw.log.2",
                "titanclaw.log.3"
            ]
        );
        assert!(std::fs::read_to_string(&path).unwrap().contains("99\n"));
        for name in names {
            assert!(std::fs::metadata(folder.path().join(name)).unwrap().len() <= 100);
        }
    }
}
