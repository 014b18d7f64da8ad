//! The master key that seals secrets: 32 random bytes in a file of its owner's, or in the system's keyring.
//!
//! The keyring is reached through the system's own command (`secret-tool`, `security`): a client library would bring
//! some thirty crates and a D-Bus connection for one lookup, and has no answer on a machine without a session either.

use crate::blobs::{flush_folder, private_file};
use rand::TryRng;
use rand::rngs::SysRng;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use titan_protocol::StorageError;
use zeroize::Zeroizing;

/// Bytes of a master key.
pub(crate) const KEY_BYTES: usize = 32;

/// A master key; wiped from memory when dropped.
pub(crate) type MasterKey = Zeroizing<[u8; KEY_BYTES]>;

/// Where the master key of a home's secrets is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// In the file `secrets.key` of the home, which only its owner may read. Works everywhere.
    #[default]
    File,
    /// In the keyring of the desktop session, by `secret-tool` on Linux and `security` on macOS.
    Keyring,
}

/// The place of one home's key.
pub(crate) enum KeyPlace {
    File(PathBuf),
    Keyring(Keyring),
}

impl KeyPlace {
    pub(crate) fn new(source: &KeySource, home: &Path) -> Self {
        match source {
            KeySource::File => Self::File(home.join("secrets.key")),
            KeySource::Keyring => Self::Keyring(Keyring::of_this_system(home)),
        }
    }

    /// The key, if there is one.
    pub(crate) fn load(&self) -> Result<Option<MasterKey>, StorageError> {
        match self {
            Self::File(path) => load_file(path),
            Self::Keyring(keyring) => keyring.load(),
        }
    }

    /// Makes a key and keeps it, so that it survives a power cut before anything is sealed with it.
    pub(crate) fn create(&self) -> Result<MasterKey, StorageError> {
        let mut key = MasterKey::default();
        SysRng.try_fill_bytes(&mut key[..]).map_err(|error| {
            StorageError::Failed(format!("the system gives no randomness for a key: {error}"))
        })?;
        match self {
            Self::File(path) => create_file(path, &key)?,
            Self::Keyring(keyring) => keyring.store(&key)?,
        }
        Ok(key)
    }
}

impl std::fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "the key file {}", path.display()),
            Self::Keyring(keyring) => write!(f, "the system's keyring ({})", keyring.program),
        }
    }
}

fn load_file(path: &Path) -> Result<Option<MasterKey>, StorageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_failed(path, "read", &error)),
    };
    refuse_if_shared(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(1_024).read_to_string(&mut text);
    read.map_err(|error| file_failed(path, "read", &error))?;
    decode(&text).map(Some).ok_or_else(|| {
        StorageError::Incompatible(format!(
            "{} is not a key (64 hex digits): restore it from a backup, or delete it and the secrets that it sealed",
            path.display()
        ))
    })
}

#[cfg(unix)]
fn refuse_if_shared(path: &Path, file: &File) -> Result<(), StorageError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata();
    let mode = metadata.map_err(|error| file_failed(path, "read", &error))?;
    if mode.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(StorageError::Failed(format!(
        "others may read the key file {0}, so it is not used: run `chmod 600 {0}`; if others had access to it, store \
         your secrets anew",
        path.display()
    )))
}

#[cfg(not(unix))]
fn refuse_if_shared(_path: &Path, _file: &File) -> Result<(), StorageError> {
    Ok(())
}

fn create_file(path: &Path, key: &MasterKey) -> Result<(), StorageError> {
    let write = || -> io::Result<()> {
        let mut file = private_file(path)?;
        file.write_all(encode(key).as_bytes())?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), flush_folder)
    };
    write().map_err(|error| file_failed(path, "written", &error))
}

fn file_failed(path: &Path, what: &str, error: &io::Error) -> StorageError {
    StorageError::Failed(format!(
        "the key file {} can't be {what} ({error}): check that you own it and its folder",
        path.display()
    ))
}

/// A keyring behind a command that takes and gives the secret by its standard streams, never by its arguments.
pub(crate) struct Keyring {
    program: String,
    load: Vec<String>,
    store: Vec<String>,
    /// Written to the command's standard input before the key, and after it.
    store_input: (String, String),
}

impl Keyring {
    fn of_this_system(home: &Path) -> Self {
        let home = home.display().to_string();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        if cfg!(target_os = "macos") {
            let account = home.replace(['"', '\\', '\n'], "_");
            let add = format!(
                "add-generic-password -U -s titanclaw -a \"{account}\" -l \"TitanClaw secrets\" -w "
            );
            return Self {
                program: "security".into(),
                load: words(&[
                    "find-generic-password",
                    "-s",
                    "titanclaw",
                    "-a",
                    &account,
                    "-w",
                ]),
                store: words(&["-i"]),
                store_input: (add, "\n".into()),
            };
        }
        let label = "--label=TitanClaw secrets";
        Self {
            program: "secret-tool".into(),
            load: words(&["lookup", "service", "titanclaw", "home", &home]),
            store: words(&["store", label, "service", "titanclaw", "home", &home]),
            store_input: (String::new(), String::new()),
        }
    }

    fn load(&self) -> Result<Option<MasterKey>, StorageError> {
        let output = Command::new(&self.program)
            .args(&self.load)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.failed(&error.to_string()))?;
        let text = Zeroizing::new(output.stdout);
        let text = std::str::from_utf8(&text).unwrap_or_default().trim();
        if text.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            let is_missing = said.trim().is_empty() || said.contains("could not be found");
            return if is_missing {
                Ok(None)
            } else {
                Err(self.failed(said.trim()))
            };
        }
        let key = decode(text).ok_or_else(|| self.failed("what it holds is not a key"))?;
        Ok(Some(key))
    }

    fn store(&self, key: &MasterKey) -> Result<(), StorageError> {
        let run = || -> io::Result<std::process::Output> {
            let mut child = Command::new(&self.program)
                .args(&self.store)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut input) = child.stdin.take() {
                let (before, after) = &self.store_input;
                let key = encode(key);
                for part in [before.as_str(), key.as_str(), after.as_str()] {
                    input.write_all(part.as_bytes())?;
                }
            }
            child.wait_with_output()
        };
        let output = run().map_err(|error| self.failed(&error.to_string()))?;
        if !output.status.success() {
            return Err(self.failed(String::from_utf8_lossy(&output.stderr).trim()));
        }
        // Some keyrings take a key without keeping it.
        match self.load()? {
            Some(kept) if *kept == **key => Ok(()),
            _ => Err(self.failed("it did not keep the key")),
        }
    }

    fn failed(&self, why: &str) -> StorageError {
        StorageError::Failed(format!(
            "the system's keyring can't be used through `{}` ({why}): install or unlock it, or keep the key in a file \
             (`titanclaw config set secrets.key file`)",
            self.program
        ))
    }
}

fn encode(key: &MasterKey) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(KEY_BYTES * 2));
    for byte in key.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

fn decode(text: &str) -> Option<MasterKey> {
    let digits = text.trim().as_bytes();
    if digits.len() != KEY_BYTES * 2 {
        return None;
    }
    let mut key = MasterKey::default();
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |idx: usize| char::from(pair[idx]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(key)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_private_and_gives_the_same_key_again() {
        let home = tempfile::tempdir().expect("a folder");
        let place = KeyPlace::new(&KeySource::File, home.path());
        assert!(place.load().expect("no file is no error").is_none());
        let key = place.create().expect("a key is made");
        let path = home.path().join("secrets.key");
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(place.load().expect("it can be read"), Some(key));
        assert!(place.create().is_err(), "a key is never overwritten");
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused_with_the_command_that_helps() {
        let home = tempfile::tempdir().expect("a folder");
        let place = KeyPlace::new(&KeySource::File, home.path());
        place.create().expect("a key is made");
        let path = home.path().join("secrets.key");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("we own it");
            let error = place.load().expect_err("it is refused").to_string();
            assert!(
                error.contains(&format!("chmod 600 {}", path.display())),
                "{error}"
            );
        }
    }

    #[test]
    fn a_damaged_key_file_is_told_from_a_missing_one() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("secrets.key");
        let mut file = private_file(&path).expect("a fresh file");
        file.write_all(b"not a key").expect("it is written");
        let place = KeyPlace::new(&KeySource::File, home.path());
        assert!(matches!(place.load(), Err(StorageError::Incompatible(_))));
    }

    /// A keyring whose command is a shell script over a file.
    fn scripted(load: &str, store: &str) -> Keyring {
        let script = |text: &str| vec!["-c".to_owned(), text.to_owned()];
        Keyring {
            program: "sh".into(),
            load: script(load),
            store: script(store),
            store_input: (String::new(), String::new()),
        }
    }

    #[test]
    fn a_keyring_command_gets_the_key_by_its_input_and_gives_it_back() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("kept").display().to_string();
        let place = KeyPlace::Keyring(scripted(
            &format!("cat '{file}' 2>/dev/null || exit 1"),
            &format!("cat > '{file}'"),
        ));
        assert!(
            place
                .load()
                .expect("an empty keyring is no error")
                .is_none()
        );
        let key = place.create().expect("the keyring keeps it");
        assert_eq!(place.load().expect("it gives it back"), Some(key));
    }

    #[test]
    fn a_keyring_that_fails_says_how_to_do_without() {
        let locked = KeyPlace::Keyring(scripted("echo locked >&2; exit 1", "exit 0"));
        let error = locked.load().expect_err("it is locked").to_string();
        assert!(
            error.contains("locked") && error.contains("secrets.key file"),
            "{error}"
        );
        let forgetful = KeyPlace::Keyring(scripted("exit 1", "cat > /dev/null"));
        let error = forgetful
            .create()
            .expect_err("it keeps nothing")
            .to_string();
        assert!(error.contains("did not keep the key"), "{error}");
        let missing = KeyPlace::Keyring(Keyring {
            program: "no-such-keyring-command".into(),
            ..scripted("", "")
        });
        assert!(
            missing.load().is_err(),
            "a command that is missing is an error"
        );
    }
}
