//! The terminal in line mode: what is read from it and written to it. What the lines say is made in
//! [`titan_tui::render`].
//!
//! [`screen`] is the only module that writes cursor codes. A pipe gets plain text and never a code.

pub(crate) mod keys;
pub(crate) mod output;
#[cfg(test)]
mod safety;
pub(crate) mod screen;
