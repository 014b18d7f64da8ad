//! Keeps what the model has read of the fixed part of a prompt on disk, so that the next start need not read it again.
//!
//! A snapshot is named by a hash of the model and the tokens, and checked by a hash of its content. It is a cache: a
//! damaged or missing file costs time, never an answer.

use crate::decoder::Cache;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAGIC: &[u8; 8] = b"titankv1";
/// Snapshots kept; the longest unused go first.
const FILES_MAX: usize = 16;
/// Shorter prefixes are read faster than they are loaded.
const TOKENS_MIN: usize = 48;
/// Longer prefixes are not kept; their files would be too large.
const TOKENS_MAX: usize = 8_192;
/// Tokens that a loaded snapshot has room for beyond its own.
const SPARE_TOKENS: usize = 256;
const EXTENSION: &str = "kv";

/// A folder of snapshots of one model.
pub(crate) struct PrefixStore {
    folder: PathBuf,
    model: blake3::Hash,
}

impl PrefixStore {
    /// The snapshots in `folder` of the model that hashes to `model`.
    pub(crate) fn new(folder: PathBuf, model: blake3::Hash) -> Self {
        Self { folder, model }
    }

    /// Whether a prefix of this length is worth a file.
    pub(crate) fn takes(tokens: &[u32]) -> bool {
        (TOKENS_MIN..=TOKENS_MAX).contains(&tokens.len())
    }

    /// What the model read of exactly these tokens, if it was kept.
    pub(crate) fn load(&self, tokens: &[u32]) -> Option<Cache> {
        let path = self.path(tokens);
        let file = File::open(&path).ok()?;
        match read(&file, tokens) {
            Ok(cache) => {
                // Its time of change tells which snapshot was used last.
                if let Err(error) = file.set_modified(SystemTime::now()) {
                    tracing::debug!(%error, "a snapshot's time could not be set");
                }
                Some(cache)
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a damaged snapshot was deleted");
                remove(&path);
                None
            }
        }
    }

    /// Keeps what the model read of `tokens`, with which `cache` begins.
    pub(crate) fn save(&self, cache: &Cache, tokens: &[u32]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(tokens);
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        let written =
            write(&unfinished, cache, tokens).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            remove(&unfinished);
        }
        written?;
        self.prune()
    }

    fn path(&self, tokens: &[u32]) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.model.as_bytes());
        for token in tokens {
            hasher.update(&token.to_le_bytes());
        }
        let name = hasher.finalize().to_hex();
        self.folder.join(&name[..32]).with_extension(EXTENSION)
    }

    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.folder)?
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|e| e == EXTENSION))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        for (_, path) in files.iter().rev().skip(FILES_MAX) {
            remove(path);
        }
        Ok(())
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "a snapshot could not be deleted");
    }
}

fn write(path: &Path, cache: &Cache, tokens: &[u32]) -> io::Result<()> {
    let mut out = Hashing {
        inner: BufWriter::with_capacity(1 << 20, File::create(path)?),
        hasher: blake3::Hasher::new(),
    };
    let length = tokens.len() * cache.width();
    out.write_all(MAGIC)?;
    for number in [tokens.len(), cache.width(), cache.layers().len()] {
        out.write_all(&(number as u32).to_le_bytes())?;
    }
    for token in tokens {
        out.write_all(&token.to_le_bytes())?;
    }
    let mut bytes = Vec::with_capacity(length * 2);
    for halves in cache
        .layers()
        .iter()
        .flat_map(|(keys, values)| [keys, values])
    {
        bytes.clear();
        bytes.extend(halves[..length].iter().flat_map(|half| half.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    let hash = out.hasher.finalize();
    out.inner.write_all(hash.as_bytes())?;
    out.inner.flush()
}

fn read(file: &File, tokens: &[u32]) -> io::Result<Cache> {
    let mut input = Hashing {
        inner: BufReader::with_capacity(1 << 20, file),
        hasher: blake3::Hasher::new(),
    };
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut magic = [0; 8];
    input.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(damaged("it is no snapshot"));
    }
    let (count, width, layers) = (input.number()?, input.number()?, input.number()?);
    // Sizes are believed only if the file has exactly as many bytes.
    let expected = count
        .checked_mul(4)
        .and_then(|n| n.checked_add(8 + 12 + 32))
        .zip(
            count
                .checked_mul(width)
                .and_then(|n| n.checked_mul(layers)?.checked_mul(4)),
        )
        .and_then(|(head, body)| head.checked_add(body));
    if expected.map(|n| n as u64) != Some(file.metadata()?.len()) || count != tokens.len() {
        return Err(damaged("its size is wrong"));
    }
    for token in tokens {
        if input.number()? != *token as usize {
            return Err(damaged("it is of other tokens"));
        }
    }
    let mut bytes = vec![0; count * width * 2];
    let mut halves = || -> io::Result<Vec<u16>> {
        input.read_exact(&mut bytes)?;
        // With room for a request, which would else move all of it.
        let mut halves = Vec::with_capacity((count + SPARE_TOKENS) * width);
        let pairs = bytes.chunks_exact(2);
        halves.extend(pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])));
        Ok(halves)
    };
    let layers = (0..layers)
        .map(|_| Ok((halves()?, halves()?)))
        .collect::<io::Result<_>>()?;
    let hash = input.hasher.finalize();
    let mut stored = [0; 32];
    input.inner.read_exact(&mut stored)?;
    if hash != stored {
        return Err(damaged("its checksum is wrong"));
    }
    Cache::from_parts(tokens.to_vec(), width, layers).ok_or_else(|| damaged("its parts do not fit"))
}

/// Hashes all that passes.
struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
}

impl<T: Write> Hashing<T> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Hashing<T> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn number(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4];
        self.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: usize) -> (Vec<u32>, Cache) {
        let tokens: Vec<u32> = (0..count as u32).collect();
        let halves = |seed: usize| (0..count * 4).map(|i| (i * 31 + seed) as u16).collect();
        let layers = vec![(halves(1), halves(2)), (halves(3), halves(4))];
        (
            tokens.clone(),
            Cache::from_parts(tokens, 4, layers).unwrap(),
        )
    }

    #[test]
    fn a_snapshot_comes_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let store = PrefixStore::new(folder.path().into(), blake3::hash(b"model"));
        let (tokens, cache) = sample(60);
        store.save(&cache, &tokens).unwrap();
        let loaded = store.load(&tokens).unwrap();
        assert_eq!(loaded.tokens(), cache.tokens());
        assert_eq!(loaded.layers(), cache.layers());
        assert!(store.load(&tokens[..59]).is_none());
        let other = PrefixStore::new(folder.path().into(), blake3::hash(b"other"));
        assert!(other.load(&tokens).is_none());
    }

    #[test]
    fn a_damaged_snapshot_is_deleted_and_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let store = PrefixStore::new(folder.path().into(), blake3::hash(b"model"));
        let (tokens, cache) = sample(60);
        for damage in [20, 300, 1500] {
            store.save(&cache, &tokens).unwrap();
            let path = store.path(&tokens);
            let mut bytes = fs::read(&path).unwrap();
            bytes[damage] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(store.load(&tokens).is_none(), "byte {damage}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn the_longest_unused_snapshot_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = PrefixStore::new(folder.path().into(), blake3::hash(b"model"));
        let (_, cache) = sample(FILES_MAX + 60);
        let past = |seconds: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        for i in 0..=FILES_MAX {
            let tokens = &cache.tokens()[..50 + i];
            store.save(&cache, tokens).unwrap();
            let file = File::options()
                .write(true)
                .open(store.path(tokens))
                .unwrap();
            file.set_modified(past(i as u64)).unwrap();
        }
        // Using the oldest makes it the newest.
        let (_, fresh) = sample(FILES_MAX + 60);
        assert!(store.load(&fresh.tokens()[..51]).is_some());
        store.save(&cache, &cache.tokens()[..49]).unwrap();
        assert!(store.path(&cache.tokens()[..51]).exists());
        assert!(!store.path(&cache.tokens()[..52]).exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), FILES_MAX);
    }
}
