//! What was read of a folder, and what a model said of its files, each in a file: a line that says what it is, the content,
//! and a hash of all before it. What is damaged, or of another version, is as good as nothing.

use super::look::Stamp;
use crate::described::Described;
use crate::extract::Skipped;
use crate::facts::FileFacts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Raised whenever the same text gives other facts.
const VERSION: &[u8] = b"titanclaw code 3\n";
/// Raised whenever a model is asked otherwise.
const TOLD_VERSION: &[u8] = b"titanclaw code told 1\n";
const HASH_BYTES: usize = 32;
/// The longest file that is read or written.
const BYTES_MAX: usize = 1 << 30;

#[derive(Deserialize)]
pub(super) struct KeptFile {
    pub(super) stamp: Stamp,
    pub(super) hash: [u8; HASH_BYTES],
    pub(super) facts: Result<FileFacts, Skipped>,
}

#[derive(Serialize)]
struct KeptFileRef<'a> {
    stamp: Stamp,
    hash: [u8; HASH_BYTES],
    facts: Result<&'a FileFacts, Skipped>,
}

/// The file of a folder's code.
pub(super) fn file_of(cache: &Path, root: &Path) -> PathBuf {
    let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
    cache.join(format!("{}.facts", &name[..32]))
}

/// What a model said of files, by the hash of what they said then.
pub(super) type Told = HashMap<[u8; HASH_BYTES], Described>;

pub(super) fn load(file: &Path) -> Vec<(String, KeptFile)> {
    read(file, VERSION)
}

/// What a model said of the files of which the facts are kept in `file`.
pub(super) fn load_told(file: &Path) -> Told {
    read(&beside(file), TOLD_VERSION)
}

pub(super) fn save_told(file: &Path, told: &Told) -> io::Result<()> {
    write(&beside(file), TOLD_VERSION, told)
}

fn beside(facts: &Path) -> PathBuf {
    facts.with_extension("told")
}

fn read<T: DeserializeOwned + Default>(file: &Path, version: &[u8]) -> T {
    let Ok(bytes) = fs::read(file) else {
        return T::default();
    };
    decode(&bytes, version).unwrap_or_else(|| {
        tracing::info!(
            "what was kept of a folder's code is of another version or damaged; it is read again"
        );
        T::default()
    })
}

fn decode<T: DeserializeOwned>(bytes: &[u8], version: &[u8]) -> Option<T> {
    let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    postcard::from_bytes(body.strip_prefix(version)?).ok()
}

pub(super) fn save<'a>(
    file: &Path,
    files: impl Iterator<
        Item = (
            &'a str,
            Stamp,
            [u8; HASH_BYTES],
            Result<&'a FileFacts, Skipped>,
        ),
    >,
) -> io::Result<()> {
    let files: Vec<(&str, KeptFileRef<'_>)> = files
        .map(|(path, stamp, hash, facts)| (path, KeptFileRef { stamp, hash, facts }))
        .collect();
    write(file, VERSION, &files)
}

fn write(file: &Path, version: &[u8], content: &impl Serialize) -> io::Result<()> {
    let mut bytes = version.to_vec();
    bytes.extend(postcard::to_stdvec(content).map_err(io::Error::other)?);
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    if bytes.len() > BYTES_MAX {
        return Err(io::Error::other("it is longer than is kept"));
    }
    let folder = file.parent().unwrap_or(file);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut open| open.write_all(&bytes))
        .and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // What is half written is of no use to anybody.
        let _ = fs::remove_file(&beside);
    }
    written
}
