//! The built-in tools, written against a [`Workbench`](titan_protocol::Workbench) and an
//! [`Egress`](titan_protocol::Egress): no file, process or socket is reached any other way.
//!
//! A tool says what a call would do (`effects`) from its parsed arguments, never from their text, and does it when
//! the step was approved. Judging, bounding for the model, redacting and recording are the pipeline's work.
//!
//! To add a tool: `NAME.rs` with a `WholeCall`, `NAME.md` for the model (its first line alone must
//! do for a small one), and one line in [`builtin`].

mod apply_patch;
mod ask_user;
mod call;
mod canvas;
mod code;
mod early;
mod edit;
mod fetch;
mod files;
mod glob;
mod grep;
mod history;
mod list;
mod output;
mod packages;
mod read;
mod recall;
mod remember;
mod shell;
mod todo;
mod write;

#[cfg(test)]
mod tests;

use call::Whole;
pub use code::{
    found as code_found, impact as code_impact, symbols as code_symbols, uses as code_uses,
};
pub use history::{of_lines as history_of_lines, told as history_told};
use std::sync::Arc;
use titan_protocol::{Blobs, CodeDirection, CodeGraph, History, Journal, Memory, Tool};

/// What the tools reach besides the workbench and the egress of each call.
#[derive(Clone)]
pub struct Ports {
    /// What `remember` writes and `recall` finds.
    pub memory: Arc<dyn Memory>,
    /// What `symbol`, `callers`, `callees`, `impact` and `map` ask.
    pub code: Arc<dyn CodeGraph>,
    /// What `history` asks.
    pub history: Arc<dyn History>,
    /// Where whole outputs are kept, for `read` of `output:HASH`.
    pub blobs: Arc<dyn Blobs>,
    /// What happened in a session, so that it reads its own outputs alone.
    pub journal: Arc<dyn Journal>,
}

/// The names of the built-in tools, which no other tool may take.
pub const NAMES: [&str; 20] = [
    "shell",
    "read",
    "write",
    "edit",
    "apply_patch",
    "list",
    "glob",
    "grep",
    "symbol",
    "callers",
    "callees",
    "impact",
    "map",
    "history",
    "fetch",
    "todo",
    "canvas",
    "ask_user",
    "remember",
    "recall",
];

/// The built-in tools, in the order in which a model is shown them.
pub fn builtin(ports: Ports) -> Vec<Arc<dyn Tool>> {
    let of_symbol = |question| -> Arc<dyn Tool> {
        let code = Arc::clone(&ports.code);
        Arc::new(Whole::new(code::OfSymbol { question, code }))
    };
    vec![
        Arc::new(shell::Shell::new()),
        Arc::new(Whole::new(read::Read {
            blobs: ports.blobs,
            journal: ports.journal,
        })),
        Arc::new(Whole::new(write::Write)),
        Arc::new(Whole::new(edit::Edit)),
        Arc::new(Whole::new(apply_patch::ApplyPatch)),
        Arc::new(Whole::new(list::List)),
        Arc::new(Whole::new(glob::Glob)),
        Arc::new(Whole::new(grep::Grep)),
        of_symbol(code::Question::Symbol),
        of_symbol(code::Question::Uses(CodeDirection::Callers)),
        of_symbol(code::Question::Uses(CodeDirection::Callees)),
        of_symbol(code::Question::Impact),
        Arc::new(Whole::new(code::Map {
            code: Arc::clone(&ports.code),
        })),
        Arc::new(Whole::new(history::OfFile {
            history: ports.history,
        })),
        Arc::new(Whole::new(fetch::Fetch)),
        Arc::new(Whole::new(todo::Todo)),
        Arc::new(Whole::new(canvas::Canvas)),
        Arc::new(Whole::new(ask_user::AskUser)),
        Arc::new(Whole::new(remember::Remember {
            memory: Arc::clone(&ports.memory),
        })),
        Arc::new(Whole::new(recall::Recall {
            memory: ports.memory,
        })),
    ]
}
