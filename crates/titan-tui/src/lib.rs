//! What a person sees in a terminal, as values.
//!
//! [`render`] turns records and texts into lines, for line mode and the live terminal alike; [`command`] is what can be
//! typed in both, and [`submits`] brings it to the engine. [`live`] is the live terminal.

pub mod command;
pub mod live;
pub mod render;
pub mod submits;
