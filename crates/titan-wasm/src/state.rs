//! What a component keeps from call to call: a file for each value, in a folder of its own beside the component, so that
//! calls in several processes see the same and a value is there whole or not at all.

use crate::artefacts::{own_folder, read_own};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const KEYS_MAX: usize = 256;
const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of all values together.
const BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file: the key's length, the key, the value.
const FILE_BYTES_MAX: u64 = (2 + KEY_BYTES_MAX + VALUE_BYTES_MAX) as u64;

/// The values of one component.
#[derive(Clone, Debug)]
pub(crate) struct State(PathBuf);

impl State {
    /// In this folder, which is made with the first value.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// The value of a key. What is damaged or somebody else's counts as not there.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let bytes = read_own(&self.path(key), FILE_BYTES_MAX).ok()?;
        let (found, value) = parts(&bytes)?;
        (found == key.as_bytes()).then(|| value.to_vec())
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// What did not fit or could not be written, in a sentence for the component.
    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        if key.len() > KEY_BYTES_MAX {
            return Err(format!("a key has at most {KEY_BYTES_MAX} bytes"));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(format!("a value has at most {VALUE_BYTES_MAX} bytes"));
        }
        self.fits(key, value.len() as u64)?;
        self.write(key, value)
            .map_err(|error| format!("the value can't be kept: {error}"))
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// When it is there and can't be forgotten.
    pub(crate) fn delete(&self, key: &str) -> Result<(), String> {
        match std::fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("the value can't be forgotten: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let files = self.files().unwrap_or_default();
        let mut keys: Vec<String> = files
            .iter()
            .filter_map(|(path, _)| read_own(path, FILE_BYTES_MAX).ok())
            .filter_map(|bytes| String::from_utf8(parts(&bytes)?.0.to_vec()).ok())
            .collect();
        keys.sort();
        keys
    }

    fn fits(&self, key: &str, bytes: u64) -> Result<(), String> {
        let path = self.path(key);
        let files = self
            .files()
            .map_err(|error| format!("the values can't be read: {error}"))?;
        let others = files.iter().filter(|(other, _)| *other != path);
        let (n, used) = others.fold((0, 0), |(n, used), (_, bytes)| (n + 1, used + bytes));
        if n >= KEYS_MAX {
            return Err(format!(
                "{KEYS_MAX} keys are kept already; delete one first"
            ));
        }
        match used + bytes <= BYTES_MAX {
            true => Ok(()),
            false => Err(format!(
                "at most {BYTES_MAX} bytes are kept; delete something first"
            )),
        }
    }

    /// The files of values, with their length; none when there is no folder.
    fn files(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Another call may have forgotten it meanwhile.
            if let Ok(found) = entry.metadata() {
                files.push((entry.path(), found.len()));
            }
        }
        Ok(files)
    }

    fn write(&self, key: &str, value: &[u8]) -> io::Result<()> {
        own_folder(&self.0)?;
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(&[&length, key.as_bytes(), value].concat())?;
        file.as_file().sync_data()?;
        file.persist(self.path(key))?;
        Ok(())
    }

    /// No key is a path.
    fn path(&self, key: &str) -> PathBuf {
        self.0.join(blake3::hash(key.as_bytes()).to_hex().as_str())
    }
}

/// A file's key and value.
fn parts(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path().join("add.state"));
        (folder, state)
    }

    #[test]
    fn values_are_kept_changed_listed_and_forgotten() {
        let (_folder, state) = state();
        assert_eq!((state.get("a"), state.keys()), (None, Vec::new()));
        state.set("b/../c", b"1").unwrap();
        state.set("a", b"2").unwrap();
        state.set("a", b"").unwrap();
        assert_eq!(state.keys(), ["a", "b/../c"]);
        assert_eq!(state.get("a"), Some(Vec::new()));
        assert_eq!(state.get("b/../c"), Some(b"1".to_vec()));
        state.delete("a").unwrap();
        state.delete("a").unwrap();
        assert_eq!(state.keys(), ["b/../c"]);
    }

    #[test]
    fn s2_values_are_bounded_one_by_one_in_number_and_together() {
        let (_folder, state) = state();
        assert!(state.set(&"k".repeat(257), b"").is_err());
        assert!(state.set("k", &vec![0; VALUE_BYTES_MAX + 1]).is_err());
        let large = vec![0; VALUE_BYTES_MAX];
        let kept = (0..20).take_while(|n| state.set(&n.to_string(), &large).is_ok());
        assert_eq!(kept.count(), 15);
        // What is there already may be written again.
        state.set("0", &large).unwrap();
        (0..20).for_each(|n| state.delete(&n.to_string()).unwrap());
        let kept = (0..300).take_while(|n| state.set(&n.to_string(), b"1").is_ok());
        assert_eq!(kept.count(), KEYS_MAX);
    }

    #[test]
    fn s5_what_is_no_value_of_this_component_is_not_read() {
        let (folder, state) = state();
        state.set("a", b"1").unwrap();
        std::fs::write(folder.path().join("secret"), b"\x01\x00asecret").unwrap();
        std::fs::remove_file(state.path("a")).unwrap();
        std::os::unix::fs::symlink("../secret", state.path("a")).unwrap();
        assert_eq!(state.get("a"), None);
    }
}
