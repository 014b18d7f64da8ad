//! Compiled components on the disk. What is loaded from there runs as the engine itself does, so nothing is that this
//! engine has not written: each file bears a tag that only the key in the folder makes, over what it was compiled from
//! and every byte of it. Whatever does not fit is compiled anew.

use crate::host::OpenError;
use std::fs::{DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiled components that are kept; the one written longest ago makes room.
const KEPT_MAX: usize = 256;
/// Bytes of one. Native code takes more than the component that it was made of.
const ARTEFACT_BYTES_MAX: u64 = 128 << 20;
const TAG_BYTES: usize = 32;
const SUFFIX: &str = "artefact";

/// The folder of compiled components.
pub(crate) struct Artefacts {
    folder: PathBuf,
    key: [u8; 32],
}

impl Artefacts {
    /// # Errors
    /// When the folder can't be made, or others may write into it.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, OpenError> {
        let failed = |why: String| OpenError::Folder {
            folder: folder.display().to_string(),
            why,
        };
        own_folder(&folder).map_err(|error| failed(error.to_string()))?;
        let key = key(&folder).map_err(|error| failed(error.to_string()))?;
        Ok(Self { folder, key })
    }

    /// What was made of these bytes, if this engine wrote it and it is whole.
    pub(crate) fn get(&self, engine: &Engine, bytes: &[u8]) -> Option<Component> {
        let source = source(engine, bytes);
        let kept = read_own(&self.path(&source), ARTEFACT_BYTES_MAX).ok()?;
        let (tag, native) = kept.split_at_checked(TAG_BYTES)?;
        // Hashes compare in constant time.
        if self.tag(&source, native) != *<&[u8; TAG_BYTES]>::try_from(tag).ok()? {
            tracing::warn!("a compiled component that this engine did not write is made anew");
            return None;
        }
        // SAFETY: the tag shows that these very bytes came from `Component::serialize` in a process with this key; the
        // runtime itself refuses those of another version.
        unsafe { Component::deserialize(engine, native) }.ok()
    }

    /// Keeps what was made of these bytes.
    pub(crate) fn put(
        &self,
        engine: &Engine,
        bytes: &[u8],
        compiled: &Component,
    ) -> wasmtime::Result<()> {
        let source = source(engine, bytes);
        let native = compiled.serialize()?;
        let tag = self.tag(&source, &native);
        self.make_room()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(tag.as_bytes())?;
        file.write_all(&native)?;
        file.persist(self.path(&source))?;
        Ok(())
    }

    pub(crate) fn remove(&self, engine: &Engine, bytes: &[u8]) -> io::Result<()> {
        match std::fs::remove_file(self.path(&source(engine, bytes))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, source: &blake3::Hash) -> PathBuf {
        self.folder
            .join(source.to_hex().as_str())
            .with_extension(SUFFIX)
    }

    fn tag(&self, source: &blake3::Hash, native: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(source.as_bytes()).update(native).finalize()
    }

    /// Deletes the oldest where one more would be too many.
    fn make_room(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == SUFFIX) {
                kept.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        kept.sort();
        let too_many = (kept.len() + 1).saturating_sub(KEPT_MAX);
        kept.iter()
            .take(too_many)
            .try_for_each(|(_, path)| std::fs::remove_file(path))
    }
}

/// What an artefact is made from: the component, and the compiler with its settings.
fn source(engine: &Engine, bytes: &[u8]) -> blake3::Hash {
    let mut settings = Settings(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut settings);
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(settings.0.finalize().as_bytes())
        .update(bytes)
        .finalize()
}

/// A hasher whose result is not cut to 64 bits.
struct Settings(blake3::Hasher);

impl Hasher for Settings {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Makes sure of a folder that is the person's own and closed to others.
pub(crate) fn own_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let found = std::fs::symlink_metadata(folder)?;
    let is_own = found.uid() == rustix::process::getuid().as_raw();
    match found.is_dir() && is_own && found.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::other(
            "it must be a folder of yours, closed to others (chmod 700)",
        )),
    }
}

/// The bytes of a file that is nobody else's: no link, no pipe, not open to others.
pub(crate) fn read_own(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let found = file.metadata()?;
    let is_own = found.uid() == rustix::process::getuid().as_raw();
    if !found.is_file() || !is_own || found.mode() & 0o077 != 0 || found.len() > bytes_max {
        return Err(io::Error::other(
            "it is not a file of yours that is closed to others (chmod 600), or too large",
        ));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The key of this folder, made when there is none.
fn key(folder: &Path) -> io::Result<[u8; 32]> {
    let path = folder.join("key");
    if !path.exists() {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&rand::random::<[u8; 32]>())?;
        // Whoever was first made the key.
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error.error);
            }
            _ => {}
        }
    }
    let bytes = read_own(&path, 32)?;
    bytes
        .try_into()
        .map_err(|_| io::Error::other("its key is damaged; delete the folder, and it is made anew"))
}
