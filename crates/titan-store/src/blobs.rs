//! Large values by the hash of their content: small ones in the database, larger ones as files `blobs/ab/cdef…`.
//!
//! A file is written under another name, flushed, and renamed, so that a name never stands for a part of the content.

use crate::Core;
use crate::sql::{Sql, bytes};
use crate::writer::Wrote;
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use titan_protocol::{BlobId, Blobs, StorageError};

/// Blobs up to this size are kept in the database.
pub(crate) const IN_DATABASE_BYTES_MAX: usize = 64 * 1_024;

#[async_trait]
impl Blobs for Core {
    async fn put(&self, bytes: Bytes) -> Result<BlobId, StorageError> {
        if bytes.len() > IN_DATABASE_BYTES_MAX {
            let folder = self.blob_files.clone();
            return off_the_runtime(move || folder.put(&bytes)).await;
        }
        let id = BlobId::of(&bytes);
        if !matches!(stored(self, &id).await, Ok(Some(_))) {
            let row = (id.to_string(), bytes.to_vec());
            // What is there and damaged is replaced.
            let insert = "INSERT OR REPLACE INTO blob (id, bytes) VALUES (?1, ?2)";
            let work = move |sql: &Sql| sql.execute(insert, row).map(|_| Wrote::Added);
            self.queue.write(work).await?;
        }
        Ok(id)
    }

    async fn get(&self, id: &BlobId) -> Result<Option<Bytes>, StorageError> {
        if let Some(bytes) = stored(self, id).await? {
            return Ok(Some(bytes));
        }
        let (folder, id) = (self.blob_files.clone(), id.clone());
        off_the_runtime(move || folder.get(&id)).await
    }

    async fn delete(&self, id: &BlobId) -> Result<(), StorageError> {
        let key = id.to_string();
        let work = move |sql: &Sql| {
            let deleted = sql.execute("DELETE FROM blob WHERE id = ?1", [key])?;
            Ok(if deleted > 0 {
                Wrote::Erased
            } else {
                Wrote::Added
            })
        };
        self.queue.write(work).await?;
        let (folder, id) = (self.blob_files.clone(), id.clone());
        off_the_runtime(move || folder.delete(&id)).await
    }
}

async fn stored(core: &Core, id: &BlobId) -> Result<Option<Bytes>, StorageError> {
    let key = id.to_string();
    let query = move |sql: &Sql| {
        let select = "SELECT bytes FROM blob WHERE id = ?1";
        sql.first(select, [key], |row| bytes(row, 0))
    };
    let found = core.readers.read(query).await?;
    found.map(|bytes| verified(id, bytes)).transpose()
}

pub(crate) fn verified(id: &BlobId, bytes: Vec<u8>) -> Result<Bytes, StorageError> {
    if BlobId::of(&bytes) == *id {
        return Ok(Bytes::from(bytes));
    }
    Err(StorageError::Failed(format!(
        "the stored output {id} no longer matches its hash, so it is damaged and not given out: run what made it again"
    )))
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StorageError::Failed(format!("file work was broken off: {error}")))?
}

/// Blobs as files of one folder.
pub(crate) struct BlobFiles {
    folder: PathBuf,
    /// What an earlier process left half-written is cleared before the first write.
    clear: Once,
    n_written: AtomicU64,
}

impl BlobFiles {
    pub(crate) fn new(home: &Path) -> Self {
        Self {
            folder: home.join("blobs"),
            clear: Once::new(),
            n_written: AtomicU64::new(0),
        }
    }

    fn path_of(&self, id: &BlobId) -> PathBuf {
        let (head, rest) = id.as_str().split_at(2);
        self.folder.join(head).join(rest)
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> Result<BlobId, StorageError> {
        let id = BlobId::of(bytes);
        if !matches!(self.get(&id), Ok(Some(_))) {
            self.write(&self.path_of(&id), bytes)
                .map_err(|error| self.explain("written", &error))?;
        }
        Ok(id)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let incoming = self.folder.join("incoming");
        // A folder that is not there has nothing to clear; one that can't be cleared fails below.
        self.clear.call_once(|| drop(fs::remove_dir_all(&incoming)));
        create_folder(&self.folder)?;
        create_folder(&incoming)?;
        let n = self.n_written.fetch_add(1, Ordering::Relaxed);
        let unfinished = incoming.join(n.to_string());
        let mut file = private_file(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let parent = path.parent().unwrap_or(&self.folder);
        create_folder(parent)?;
        fs::rename(&unfinished, path)?;
        flush_folder(parent)
    }

    fn get(&self, id: &BlobId) -> Result<Option<Bytes>, StorageError> {
        match fs::read(self.path_of(id)) {
            Ok(bytes) => verified(id, bytes).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.explain("read", &error)),
        }
    }

    /// All of them, one after the other; what has no name of a blob is none.
    pub(crate) fn all(
        &self,
    ) -> Result<impl Iterator<Item = Result<(BlobId, Bytes), StorageError>>, StorageError> {
        let mut ids: Vec<BlobId> = Vec::new();
        let mut list = || -> io::Result<()> {
            for head in fs::read_dir(&self.folder)? {
                let head = head?;
                if !head.file_type()?.is_dir() {
                    continue;
                }
                for rest in fs::read_dir(head.path())? {
                    let rest = rest?.file_name();
                    let name =
                        [head.file_name(), rest].map(|part| part.to_string_lossy().into_owned());
                    ids.extend(name.concat().parse::<BlobId>().ok());
                }
            }
            Ok(())
        };
        match list() {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(self.explain("listed", &error));
            }
            _ => {}
        }
        ids.sort_unstable();
        let read = move |id: BlobId| Ok(self.get(&id)?.map(|bytes| (id, bytes)));
        Ok(ids.into_iter().filter_map(move |id| read(id).transpose()))
    }

    fn delete(&self, id: &BlobId) -> Result<(), StorageError> {
        let path = self.path_of(id);
        let deleted = match fs::remove_file(&path) {
            Ok(()) => flush_folder(path.parent().unwrap_or(&self.folder)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        deleted.map_err(|error| self.explain("deleted", &error))
    }

    fn explain(&self, what: &str, error: &io::Error) -> StorageError {
        StorageError::Failed(format!(
            "a stored output in {} can't be {what} ({error}): check the disk's free space and the folder's owner",
            self.folder.display()
        ))
    }
}

/// A folder only its owner may enter, whose name is on the disk when this returns.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => path.parent().map_or(Ok(()), flush_folder),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A fresh file that only its owner may read and write.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes names that were made, changed or removed in a folder survive a power cut.
pub(crate) fn flush_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
