//! The one error of a tool: a sentence for whoever called it.

use std::fmt;

/// What went wrong, in a sentence. Whatever the standard library and this one fail with becomes it by `?`.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(String);

/// What most functions here give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with this text.
///
/// # Errors
/// Always.
#[inline(never)]
pub fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Error(text.into()))
}

impl Error {
    /// With this text.
    #[inline(never)]
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }

    /// Its text.
    #[inline(never)]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    #[inline(never)]
    fn from(text: String) -> Self {
        Self(text)
    }
}

macro_rules! from {
    ($($of:ty),* $(,)?) => {$(
        impl From<$of> for Error {
            #[inline(never)]
            fn from(error: $of) -> Self {
                Self(error.to_string())
            }
        }
    )*};
}

from! {
    &str,
    std::borrow::Cow<'_, str>,
    Box<dyn std::error::Error>,
    Box<dyn std::error::Error + Send + Sync>,
    std::char::ParseCharError,
    std::char::CharTryFromError,
    std::convert::Infallible,
    std::fmt::Error,
    std::io::Error,
    std::net::AddrParseError,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    serde_json::Error,
    regex_lite::Error,
}
