//! The components of a shelf that are ready, looked at anew while an engine runs: what is new or changed is compiled, linked
//! and asked what it is before anybody hears of it.

use crate::component::Component;
use crate::host::{Config, LoadError, OpenError, WasmHost};
use crate::shelf::{Shelf, ShelfError};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A shelf and what is ready of it. A component that was taken up before goes on being called until another is published.
pub struct Slots {
    config: Config,
    shelf: Shelf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Opened with the first component: an engine without any needs none.
    host: Option<WasmHost>,
    /// What was looked at last, by name: the hash of its bytes.
    seen: BTreeMap<String, blake3::Hash>,
}

/// What changed since the last look.
pub enum Change {
    /// A component is ready, in the place of one of its name that was before, if `is_newer`.
    Ready {
        /// It.
        component: Component,
        /// Whether it takes another's place.
        is_newer: bool,
    },
    /// A file can't be offered. What was taken up under its name before stays.
    Refused {
        /// Its name.
        name: String,
        /// Why.
        why: KeptError,
    },
    /// There is none of this name any more.
    Gone(String),
}

/// Why a component that is kept can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// Its file can't be read.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// What is in it is no tool that can be offered.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing can be run here.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is another one than its file says.
    #[error("the file is called {file}.wasm, but the component calls itself {own}")]
    Name {
        /// The file's name.
        file: String,
        /// The component's.
        own: String,
    },
}

impl Slots {
    /// The slots of this shelf. Nothing is looked at.
    pub fn new(config: Config, shelf: Shelf) -> Self {
        Self {
            config,
            shelf,
            inner: Mutex::default(),
        }
    }

    /// The shelf.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Looks at the shelf and makes ready what is new or changed. Blocks, for a tenth of a second for a component that was
    /// never compiled.
    ///
    /// # Errors
    /// When the shelf can't be read.
    pub fn look(&self) -> Result<Vec<Change>, ShelfError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.shelf.names()?;
        let mut changes: Vec<Change> = names
            .iter()
            .filter_map(|name| self.change(&mut inner, name))
            .collect();
        let gone = inner.seen.keys().filter(|seen| !names.contains(seen));
        changes.extend(gone.cloned().map(Change::Gone));
        inner.seen.retain(|seen, _| names.contains(seen));
        Ok(changes)
    }

    fn change(&self, inner: &mut Inner, name: &str) -> Option<Change> {
        let refused = |why| Change::Refused {
            name: name.to_owned(),
            why,
        };
        let bytes = match self.shelf.read(name) {
            Ok(bytes) => bytes,
            Err(error) => return Some(refused(error.into())),
        };
        let hash = blake3::hash(&bytes);
        let before = inner.seen.insert(name.to_owned(), hash);
        if before == Some(hash) {
            return None;
        }
        let ready = self
            .host(inner)
            .and_then(|host| load_kept(host, name, &bytes));
        Some(match ready {
            Ok(component) => Change::Ready {
                component,
                is_newer: before.is_some(),
            },
            Err(why) => refused(why),
        })
    }

    fn host<'a>(&self, inner: &'a mut Inner) -> Result<&'a WasmHost, KeptError> {
        let host = match inner.host.take() {
            Some(host) => host,
            None => WasmHost::open(self.config.clone())?,
        };
        Ok(inner.host.insert(host))
    }
}

/// The component that is kept under this name, made ready.
///
/// # Errors
/// When it can't be offered, or is another one than its file says.
pub fn load_kept(host: &WasmHost, name: &str, bytes: &[u8]) -> Result<Component, KeptError> {
    let component = host.load_as(name, bytes)?;
    let own = &component.spec().name;
    if own != name {
        return Err(KeptError::Name {
            file: name.to_owned(),
            own: own.clone(),
        });
    }
    Ok(component)
}
