//! The live terminal, with an engine behind it.

use super::ask::Place;
use super::turn::Interrupts;
use super::{Context, Exit, engine_runtime};
use crate::config::{Config, Theme as Ground};
use crate::line::output::wants_color;
use crate::wire::{self, Need};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use titan_protocol::ClientError;
use titan_tui::live::{Left, Live, Options, Settings, Theme};

/// Paths that complete a word.
const PATHS_MAX: usize = 100;
/// Entries of a folder that are looked at for them.
const ENTRIES_MAX: usize = 10_000;

/// Whether there is a terminal that can show it: a whole one, whose characters are UTF-8, with nobody who asked for less.
pub(super) fn is_possible(context: &Context) -> bool {
    io::stdin().is_terminal()
        && io::stdout().is_terminal()
        && !context.env.is_dumb_terminal
        && context.env.is_utf8
        && !context.is_quiet
}

/// Talks until the person leaves.
///
/// # Errors
/// When no engine can be used, or the terminal fails.
pub(super) fn run(context: &Context, config: &Config, place: Place) -> anyhow::Result<Exit> {
    engine_runtime()?.block_on(async {
        let need = Need::Model {
            asked: place.model.as_deref(),
            lasts: true,
        };
        let mut attached = wire::attach(context, need).await?;
        let settings = Settings {
            session: place.session(attached.client.as_ref()).await?,
            workspace: place.workspace()?,
            model: place.model.clone(),
            answers: attached.client.status().await?.model,
            theme: theme(context, config),
            shows_thinking: config.display.thinking,
        };
        let mut ended = Interrupts::listen()?;
        let mut live = Live::open(Options {
            settings,
            history: context.home.history(),
            files: Arc::new(paths),
        })?;
        let left = loop {
            let shown = live.run(attached.client.clone(), attached.memory.clone());
            let left = tokio::select! {
                left = attached.unless_stopped(async { Ok(shown.await?) }) => left,
                () = ended.next() => Ok(Left::ByPerson),
            };
            match left {
                Ok(Left::Disconnected(_)) => attached = wire::attach(context, need).await?,
                other => break other,
            }
        };
        // What follows is said on the terminal as it was.
        drop(live);
        let closed = attached.close().await;
        match left? {
            Left::ByPerson => closed.map(|()| Exit::Completed),
            Left::Disconnected(why) => Err(ClientError::Disconnected(why).into()),
        }
    })
}

fn theme(context: &Context, config: &Config) -> Theme {
    match config.display.theme {
        _ if !wants_color(context.color(config), context.env.no_color, true) => Theme::Plain,
        Ground::Dark => Theme::Dark,
        Ground::Light => Theme::Light,
    }
}

/// The paths of a folder that begin so, the prefix's own folder before each; folders end with a slash. Hidden ones are
/// named only to who begins with a dot.
fn paths(root: &Path, prefix: &str) -> Vec<String> {
    let (folder, beginning) = match prefix.rsplit_once('/') {
        Some((folder, beginning)) => (format!("{folder}/"), beginning),
        None => (String::new(), prefix),
    };
    let Ok(entries) = fs::read_dir(root.join(&folder)) else {
        return Vec::new();
    };
    let mut paths: Vec<String> = entries
        .take(ENTRIES_MAX)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_hidden = name.starts_with('.') && !beginning.starts_with('.');
            let is_folder = entry.path().is_dir();
            let end = if is_folder { "/" } else { "" };
            let is_meant = name.starts_with(beginning) && !is_hidden;
            is_meant.then(|| format!("{folder}{name}{end}"))
        })
        .collect();
    paths.sort();
    paths.truncate(PATHS_MAX);
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_completed_folder_by_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("src/cli")).unwrap();
        for name in ["src/main.rs", "src/memory.rs", ".hidden", "sum"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let listed = |prefix| paths(root.path(), prefix);
        assert_eq!(listed("s"), ["src/", "sum"]);
        assert_eq!(listed("src/m"), ["src/main.rs", "src/memory.rs"]);
        assert_eq!(listed("src/c"), ["src/cli/"]);
        assert_eq!(listed("."), [".hidden"]);
        assert_eq!(listed("nowhere/x"), [""; 0]);
    }
}
