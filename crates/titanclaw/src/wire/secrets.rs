//! Keys: those of the environment by fixed names, then those that are sealed in the store.

use super::{Context, store_for_secrets};
use crate::config::choose::{ANTHROPIC_SECRET, OPENAI_SECRET};
use crate::config::env::Env;
use crate::daemon::{SocketClient, is_served};
use anyhow::bail;
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use titan_exec::Redactor;
use titan_protocol::{Client as _, Secret, SecretSource, StorageError};
use titan_store::Secrets;
use url::Url;

/// Whose secrets the engine uses.
pub(super) const OWNER: &str = "person";

/// The keys in the environment, each for its one host.
#[derive(Clone)]
pub(super) struct EnvKeys(Vec<(&'static str, Secret)>);

impl EnvKeys {
    pub(super) fn new(env: &Env) -> Self {
        let openai_host = env.openai_base_url.as_deref().map_or_else(
            || Some("api.openai.com".to_owned()),
            |url| Some(Url::parse(url).ok()?.host_str()?.to_owned()),
        );
        let key = |name, value: &Option<SecretString>, host: Option<String>| {
            let secret = Secret {
                value: value.clone()?,
                // A key whose host is not known is given to nobody.
                host: Some(host?),
            };
            Some((name, secret))
        };
        let anthropic = key(
            ANTHROPIC_SECRET,
            &env.anthropic_key,
            Some("api.anthropic.com".into()),
        );
        let openai = key(OPENAI_SECRET, &env.openai_key, openai_host);
        Self(anthropic.into_iter().chain(openai).collect())
    }

    fn find(&self, name: &str) -> Option<Secret> {
        let found = self.0.iter().find(|(known, _)| *known == name)?;
        Some(found.1.clone())
    }
}

/// All keys.
pub(super) struct Keys {
    env: EnvKeys,
    /// `None` where another process owns the store.
    sealed: Option<Secrets>,
}

impl Keys {
    pub(super) fn new(env: &Env, sealed: Option<Secrets>) -> Self {
        Self {
            env: EnvKeys::new(env),
            sealed,
        }
    }

    /// Takes every known key out of what tools put out.
    pub(super) async fn redactor(&self) -> Result<Redactor, StorageError> {
        let mut known: Vec<(String, String)> = self
            .env
            .0
            .iter()
            .map(|(name, secret)| ((*name).to_owned(), secret.value.expose_secret().to_owned()))
            .collect();
        if let Some(sealed) = &self.sealed {
            for entry in sealed.list().await? {
                if let Some(secret) = sealed.get(&entry.name).await? {
                    known.push((entry.name, secret.value.expose_secret().to_owned()));
                }
            }
        }
        Ok(Redactor::new(known))
    }

    /// The names of all keys that are there.
    pub(super) async fn names(&self) -> Result<Vec<String>, StorageError> {
        let mut names: Vec<String> = self
            .env
            .0
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if let Some(sealed) = &self.sealed {
            names.extend(sealed.list().await?.into_iter().map(|entry| entry.name));
        }
        Ok(names)
    }
}

#[async_trait]
impl SecretSource for Keys {
    async fn reveal(&self, name: &str) -> Option<Secret> {
        match (self.env.find(name), &self.sealed) {
            (Some(secret), _) => Some(secret),
            (None, Some(sealed)) => sealed.reveal(name).await,
            (None, None) => None,
        }
    }
}

/// Makes sure, before a key is asked for, that it can be sealed: a running engine owns the home, and it would go on
/// with the keys that it read at its start.
///
/// # Errors
/// When an engine runs; the text says how to end it.
pub(crate) async fn can_seal(context: &Context) -> anyhow::Result<()> {
    let socket = context.home.socket();
    if !is_served(&socket).await {
        return Ok(());
    }
    let pid = SocketClient::new(&socket).status().await?.pid;
    bail!(
        "an engine runs (process {pid}) and holds the keys that it read at its start, so none was asked for and nothing was changed. End it, then run this again: titanclaw daemon stop"
    )
}

/// Seals a key for one host.
///
/// # Errors
/// When an engine owns the home, or the store can't be written.
pub(crate) async fn seal_key(
    context: &Context,
    name: &str,
    value: SecretString,
    host: &str,
) -> anyhow::Result<()> {
    let store = store_for_secrets(context).await?;
    Ok(store.secrets(OWNER).put(name, Some(host), value).await?)
}
