//! Secrets at rest: each is sealed by XChaCha20-Poly1305 under the home's master key and bound to its owner, its name
//! and the host that it may go to, so a row that was moved or edited does not open.
//!
//! The master key is looked up when the first secret is sealed or opened, not when the store opens.

use crate::key::{KeyPlace, MasterKey};
use async_trait::async_trait;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use parking_lot::Mutex;
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use titan_protocol::{Change, Records, Secret, SecretSource, StorageError};
use zeroize::Zeroizing;

/// The records table that holds the sealed secrets.
const TABLE: &str = "secret";
/// Bytes of a secret, at most.
const SECRET_BYTES_MAX: usize = 64 * 1_024;
/// Secrets of one owner, at most.
const SECRETS_MAX: usize = 1_000;
const NONCE_BYTES: usize = 24;

/// The secrets of one owner.
#[derive(Clone)]
pub struct Secrets {
    owner: String,
    records: Arc<dyn Records>,
    vault: Arc<Vault>,
}

/// The master key of a home, looked up once.
pub(crate) struct Vault {
    place: KeyPlace,
    key: Mutex<Option<MasterKey>>,
}

/// A secret's name and where it may go, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// Its name.
    pub name: String,
    /// The one host that it may be sent to; `None` for any.
    pub host: Option<String>,
}

/// A secret as it is stored.
#[derive(Serialize, Deserialize)]
struct Sealed {
    host: Option<String>,
    nonce: [u8; NONCE_BYTES],
    sealed: Vec<u8>,
}

impl Vault {
    pub(crate) fn new(place: KeyPlace) -> Self {
        Self {
            place,
            key: Mutex::new(None),
        }
    }

    /// The cipher; a key is made only where nothing was ever sealed with another.
    fn cipher(&self, may_create: bool) -> Result<XChaCha20Poly1305, StorageError> {
        let mut held = self.key.lock();
        if held.is_none() {
            *held = match self.place.load()? {
                Some(key) => Some(key),
                None if may_create => Some(self.place.create()?),
                None => None,
            };
        }
        let Some(key) = &*held else {
            return Err(StorageError::Incompatible(format!(
                "{} does not hold the key that sealed the secrets of this home: restore it from a backup, or delete \
                 the secrets and store them anew",
                self.place
            )));
        };
        Ok(XChaCha20Poly1305::new(&Key::from(**key)))
    }
}

impl Secrets {
    pub(crate) fn new(owner: &str, records: Arc<dyn Records>, vault: Arc<Vault>) -> Self {
        Self {
            owner: owner.to_owned(),
            records,
            vault,
        }
    }

    /// Seals and stores a secret, in place of one of the same name. `host` is the one host that it may be sent to.
    /// Durable when it returns.
    ///
    /// # Errors
    /// When the name is empty, the secret is empty or larger than 64 KiB, the owner has 1,000 others, the key can't be
    /// had, or the store can't be written.
    pub async fn put(
        &self,
        name: &str,
        host: Option<&str>,
        value: SecretString,
    ) -> Result<(), StorageError> {
        let n_bytes = value.expose_secret().len();
        if name.is_empty() || n_bytes == 0 || n_bytes > SECRET_BYTES_MAX {
            return Err(StorageError::Failed(format!(
                "a secret needs a name and 1 to {SECRET_BYTES_MAX} bytes; {name:?} has {n_bytes}"
            )));
        }
        if self.list().await?.len() >= SECRETS_MAX {
            return Err(StorageError::Failed(format!(
                "{} has {SECRETS_MAX} secrets, which is the most: delete one first",
                self.owner
            )));
        }
        let is_first = self.records.scan(TABLE, "", "", 1).await?.is_empty();
        let cipher = self.cipher(is_first).await?;
        let sealed = seal(&cipher, &self.owner, name, host, &value)?;
        let change = Change {
            table: TABLE.to_owned(),
            key: self.key_of(name),
            value: Some(sealed),
            expected_version: None,
        };
        self.records.commit(vec![change]).await
    }

    /// The secret of this name, if there is one.
    ///
    /// # Errors
    /// When the key can't be had, the row does not belong here or was changed, or the store can't be read.
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, StorageError> {
        let Some(found) = self.records.get(TABLE, &self.key_of(name)).await? else {
            return Ok(None);
        };
        let cipher = self.cipher(false).await?;
        open(&cipher, &self.owner, name, &found.value).map(Some)
    }

    /// Names and hosts of all secrets, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list(&self) -> Result<Vec<SecretEntry>, StorageError> {
        let prefix = self.key_of("");
        let rows = self.records.scan(TABLE, &prefix, "", SECRETS_MAX).await?;
        rows.into_iter()
            .map(|(key, row)| {
                let sealed: Sealed =
                    serde_json::from_slice(&row.value).map_err(|_| damaged(&key))?;
                Ok(SecretEntry {
                    name: key[prefix.len()..].to_owned(),
                    host: sealed.host,
                })
            })
            .collect()
    }

    /// Deletes a secret for good; an unknown name is passed over.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn delete(&self, name: &str) -> Result<(), StorageError> {
        let change = Change {
            table: TABLE.to_owned(),
            key: self.key_of(name),
            value: None,
            expected_version: None,
        };
        self.records.commit(vec![change]).await
    }

    /// The owner's length stands first, so that no two pairs of owner and name share a key.
    fn key_of(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.owner.len(), self.owner)
    }

    async fn cipher(&self, may_create: bool) -> Result<XChaCha20Poly1305, StorageError> {
        let vault = Arc::clone(&self.vault);
        let cipher = tokio::task::spawn_blocking(move || vault.cipher(may_create)).await;
        cipher
            .map_err(|error| StorageError::Failed(format!("the key lookup broke off: {error}")))?
    }
}

#[async_trait]
impl SecretSource for Secrets {
    async fn reveal(&self, name: &str) -> Option<Secret> {
        self.get(name).await.unwrap_or_else(|error| {
            tracing::warn!(name, %error, "a secret can't be opened");
            None
        })
    }
}

fn seal(
    cipher: &XChaCha20Poly1305,
    owner: &str,
    name: &str,
    host: Option<&str>,
    value: &SecretString,
) -> Result<Bytes, StorageError> {
    let mut nonce = [0; NONCE_BYTES];
    SysRng.try_fill_bytes(&mut nonce).map_err(|error| {
        StorageError::Failed(format!(
            "the system gives no randomness for a nonce: {error}"
        ))
    })?;
    let payload = Payload {
        msg: value.expose_secret().as_bytes(),
        aad: &binding(owner, name, host),
    };
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|error| StorageError::Failed(format!("{name} can't be sealed: {error}")))?;
    let row = Sealed {
        host: host.map(str::to_owned),
        nonce,
        sealed,
    };
    let row = serde_json::to_vec(&row)
        .map_err(|error| StorageError::Failed(format!("{name} can't be written: {error}")))?;
    Ok(Bytes::from(row))
}

fn open(
    cipher: &XChaCha20Poly1305,
    owner: &str,
    name: &str,
    row: &[u8],
) -> Result<Secret, StorageError> {
    let row: Sealed = serde_json::from_slice(row).map_err(|_| damaged(name))?;
    let payload = Payload {
        msg: &row.sealed,
        aad: &binding(owner, name, row.host.as_deref()),
    };
    let opened = cipher.decrypt(&XNonce::from(row.nonce), payload);
    let opened = Zeroizing::new(opened.map_err(|_| damaged(name))?);
    let value = std::str::from_utf8(&opened).map_err(|_| damaged(name))?;
    Ok(Secret {
        value: SecretString::from(value),
        host: row.host,
    })
}

/// What a seal holds for: owner, name and host, each with its length, so that no two bindings are equal.
fn binding(owner: &str, name: &str, host: Option<&str>) -> Vec<u8> {
    let mut binding = b"titanclaw secret".to_vec();
    for part in [Some(owner), Some(name), host] {
        // No part has this length, so "no host" differs from every host.
        let n_bytes = part.map_or(u64::MAX, |part| part.len() as u64);
        binding.extend(n_bytes.to_le_bytes());
        binding.extend(part.unwrap_or_default().as_bytes());
    }
    binding
}

fn damaged(name: &str) -> StorageError {
    StorageError::Incompatible(format!(
        "the secret {name} does not open: its row was moved or changed, or another key sealed it; store it anew"
    ))
}
