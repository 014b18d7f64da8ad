//! Which instruction files of workspaces the person trusts, in the home: one line an answer, the last one of a content
//! counts. A person may read and change it with any editor.

use anyhow::Context as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use titan_protocol::BlobId;

/// More answers than this are not read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file of answers.
#[derive(Clone, Debug)]
pub(crate) struct TrustFile(PathBuf);

impl TrustFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What was answered about this content; `None` where it was never asked. A file that can't be read answers
    /// nothing.
    pub(crate) fn decided(&self, content: &BlobId) -> Option<bool> {
        let mut text = String::new();
        let file = File::open(&self.0).ok()?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        text.lines().rev().find_map(|line| {
            let mut words = line.split_whitespace();
            let is_trusted = match words.next()? {
                "yes" => true,
                "no" => false,
                _ => return None,
            };
            (words.next()? == content.as_str()).then_some(is_trusted)
        })
    }

    /// Keeps an answer. `from` is where the content was, for whoever reads the file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn keep(
        &self,
        content: &BlobId,
        from: &Path,
        is_trusted: bool,
    ) -> anyhow::Result<()> {
        let answer = if is_trusted { "yes" } else { "no" };
        let line = format!("{answer} {content} {:?}\n", from.display().to_string());
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.0)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .with_context(|| format!("the answer can't be kept in {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_about_a_content_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = TrustFile::new(folder.path().join("trust"));
        let (one, other) = (BlobId::of(b"one"), BlobId::of(b"other"));
        assert_eq!(file.decided(&one), None);
        file.keep(&one, Path::new("/w/AGENTS.md"), false).unwrap();
        file.keep(&other, Path::new("/w\nyes x"), false).unwrap();
        file.keep(&one, Path::new("/w/AGENTS.md"), true).unwrap();
        assert_eq!(file.decided(&one), Some(true));
        assert_eq!(file.decided(&other), Some(false));
        std::fs::write(folder.path().join("trust"), format!("maybe {one}\n\nyes\n")).unwrap();
        assert_eq!(file.decided(&one), None);
    }
}
