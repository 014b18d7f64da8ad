//! The live terminal: a whole screen of the conversation as it happens.
//!
//! [`App`] is all of it that can be thought without a terminal: records and keys in, actions and rows out, with no
//! clock but the one that it is told. [`Live`] owns the terminal and does what the actions ask for.

mod answer;
mod app;
mod apply;
mod block;
mod card;
mod composer;
mod conversation;
mod draw;
mod driver;
mod growing;
mod history;
mod image;
mod jobs;
mod key;
mod keys;
mod notes;
mod palette;
mod pane;
mod reader;
mod screen;
mod status;
#[cfg(test)]
mod tests;
mod theme;
mod tty;

pub use app::{Action, App, Asking, NoteChange, Query, Reply, Settings};
pub use driver::{Files, Left, Live, LiveError, Options};
pub use key::Key;
pub use theme::Theme;

use crate::render::markdown::Layout;
use crate::render::turn::FRAMES;
use titan_protocol::{SessionId, UnixMillis};

/// A picture of the spinner stays for this long, in milliseconds.
const FRAME_MS: u64 = 100;

/// What a drawing depends on besides what is drawn.
#[derive(Clone, Copy, Debug)]
struct View {
    layout: Layout,
    /// Rows of the conversation.
    height: usize,
    now: UnixMillis,
    /// Whether the model's thinking is shown whole where the person did not say otherwise.
    opens_thinking: bool,
    session: SessionId,
}

impl View {
    fn spinner(&self) -> &'static str {
        spinner(self.now)
    }
}

fn spinner(now: UnixMillis) -> &'static str {
    let frame = usize::try_from(now / FRAME_MS).unwrap_or(0);
    FRAMES[frame % FRAMES.len()]
}
