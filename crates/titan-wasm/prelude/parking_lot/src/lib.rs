//! In the place of the crate of this name, of which nothing but this is used here: eight crates less to compile and to load.

use std::sync::{MutexGuard, PoisonError};

/// A lock that nobody poisons.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Around this.
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// What is in it, for one at a time.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
