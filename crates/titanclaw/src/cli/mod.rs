//! The command line: what was typed, which command it is, and how it ends.
//!
//! Each command is one file with a `run`. A command gives its [`Exit`] or an error whose text is one paragraph, cause
//! first, then the next step; this module alone prints it.

mod ask;
mod backup;
mod branch;
mod chat;
mod code;
mod completions;
mod config;
mod cost;
mod daemon;
mod doctor;
mod history;
mod image;
mod live;
mod logs;
mod memory;
mod models;
mod onboard;
mod presence;
mod prompt;
mod reflexes;
mod sessions;
mod status;
mod store;
mod toolchain;
mod tools;
mod transcript;
mod trust;
mod turn;
mod undo;
mod web;

use crate::config::env::{Env, VARIABLES};
use crate::config::home::Home;
use crate::config::{Config, load};
use crate::line::output::Output;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use titan_tui::render::visible::clean;

/// How a command ended. The numbers are documented in `--help` and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Completed = 0,
    Failed = 1,
    NoModel = 3,
    Limited = 4,
    Denied = 5,
    Interrupted = 130,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    completed
  1    failed
  2    the command line was not understood
  3    no model answers: none is set up, or it cannot be reached
  4    a limit ended the turn; what was found until then is printed
  5    something was denied because nobody could approve it (see ask --allow)
  130  interrupted";

/// An error with its own exit code.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Ended {}

/// A personal AI engine that runs on your own machine.
#[derive(Debug, Parser)]
#[command(name = "titanclaw", version, max_term_width = 100)]
#[command(subcommand_required = false, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    /// Line by line, for screen readers and simple terminals
    #[arg(long)]
    plain: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Debug)]
struct Globals {
    /// Reach nothing beyond this machine
    #[arg(long, global = true, help_heading = "Global options")]
    offline: bool,
    /// Where config, sessions and logs are kept [default: ~/.titanclaw]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    home: Option<PathBuf>,
    /// Print the answer alone
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// When to write colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    color: Option<ColorChoice>,
}

/// When colour is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Talk in the terminal (what runs without a command)
    Chat(chat::Arguments),
    /// Ask once and print the answer
    Ask(ask::Arguments),
    /// List, show, resume, export or forget sessions
    Sessions(sessions::Arguments),
    /// List, download, choose or test models
    Models(models::Arguments),
    /// List, show, run, add, take back or remove tools that are WebAssembly components
    Tools(tools::Arguments),
    /// Look at, prepare or try the compiler for tools that are written here
    Toolchain(toolchain::Arguments),
    /// Search, show, add, change, forget, export or import what is known over sessions
    Memory(memory::Arguments),
    /// Find what a folder's code defines, what uses it, and what a change would break
    Code(code::Arguments),
    /// Tell who wrote a file or some of its lines, when and why
    History(history::Arguments),
    /// Say which files are open, and show what is known about one
    Presence(presence::Arguments),
    /// List, show, prove, promote or demote what is answered without a model
    Reflexes(reflexes::Arguments),
    /// Set up a model, step by step; nothing is uploaded
    Onboard(onboard::Arguments),
    /// Check the home, the models and this machine
    Doctor(doctor::Arguments),
    /// Show the engine that runs now
    Status(status::Arguments),
    /// Show, read, change or check the settings
    Config(config::Arguments),
    /// Trust the instructions in a folder's AGENTS.md, or no longer
    Trust(trust::Arguments),
    /// Take what is stored to a PostgreSQL server, or back into the home
    Store(store::Arguments),
    /// Put everything into one file; the keys stay sealed in it
    Backup(backup::BackupArguments),
    /// Make the home from a file that backup made
    Restore(backup::RestoreArguments),
    /// Show what models cost, by day
    Cost(cost::Arguments),
    /// Show the engine's log
    Logs(logs::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Start, stop or look at the engine in the background
    Daemon(daemon::Arguments),
    /// Open the page in a browser, and serve the API
    Web(web::Arguments),
}

/// What every command may use.
pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) env: Env,
    pub(crate) is_offline: bool,
    pub(crate) is_quiet: bool,
    color: Option<ColorChoice>,
    config: OnceCell<Config>,
}

impl Context {
    fn new(globals: Globals) -> anyhow::Result<Self> {
        let env = Env::read();
        Ok(Self {
            home: Home::locate(globals.home.as_deref(), &env)?,
            is_offline: globals.offline || env.is_offline,
            is_quiet: globals.quiet,
            color: globals.color,
            config: OnceCell::new(),
            env,
        })
    }

    /// The settings, read once. What is odd about them is told on standard error.
    pub(crate) fn config(&self) -> anyhow::Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        self.home.must_be_a_folder()?;
        let loaded = load(&self.home.config())?;
        for warning in &loaded.warnings {
            self.say(&format!("config.toml: {warning}"));
        }
        Ok(self.config.get_or_init(|| loaded.config))
    }

    /// Tells the person something about the command, on standard error; not with `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_quiet {
            tell(text);
        }
    }

    /// When colour is written: the flag, then the config.
    pub(crate) fn color(&self, config: &Config) -> ColorChoice {
        self.color.unwrap_or(config.display.color)
    }

    /// Standard output for commands that do not read the config.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.color.unwrap_or_default(), self.env.no_color)
    }
}

/// Understands the command line, runs it and says how it ended.
pub(crate) fn main() -> ExitCode {
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => finish(run(cli)),
        Err(error) => {
            explain(&error);
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// Prints help, the version, or what is wrong with the command line, which may hold anything.
fn explain(error: &clap::Error) {
    let text = error.render().to_string();
    let printed = match clean(&text) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(harmless) => io::stderr().write_all(harmless.as_bytes()),
    };
    // Nobody is left to hear that it could not be printed.
    drop(printed);
}

/// The whole command line as clap knows it.
fn command() -> clap::Command {
    Cli::command()
        .after_help(EXIT_CODES)
        .after_long_help(long_help())
}

fn long_help() -> String {
    let widest = VARIABLES
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let variables: String = VARIABLES
        .iter()
        .map(|(name, about)| format!("\n  {name:widest$}  {about}"))
        .collect();
    format!("{EXIT_CODES}\n\nEnvironment variables:{variables}")
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    if let Some(Command::Completions(arguments)) = &cli.command {
        return completions::run(arguments);
    }
    let context = Context::new(cli.globals)?;
    match cli.command {
        None => chat::run(&context, chat::Arguments::plain(cli.plain)),
        Some(Command::Chat(mut arguments)) => {
            arguments.plain |= cli.plain;
            chat::run(&context, arguments)
        }
        Some(Command::Ask(arguments)) => ask::run(&context, arguments),
        Some(Command::Sessions(arguments)) => sessions::run(&context, arguments),
        Some(Command::Models(arguments)) => models::run(&context, arguments),
        Some(Command::Tools(arguments)) => tools::run(&context, arguments),
        Some(Command::Toolchain(arguments)) => toolchain::run(&context, arguments),
        Some(Command::Memory(arguments)) => memory::run(&context, arguments),
        Some(Command::Code(arguments)) => code::run(&context, arguments),
        Some(Command::History(arguments)) => history::run(&context, &arguments),
        Some(Command::Presence(arguments)) => presence::run(&context, arguments),
        Some(Command::Reflexes(arguments)) => reflexes::run(&context, arguments),
        Some(Command::Onboard(arguments)) => onboard::run(&context, arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&context, &arguments),
        Some(Command::Status(arguments)) => status::run(&context, &arguments),
        Some(Command::Config(arguments)) => config::run(&context, arguments),
        Some(Command::Trust(arguments)) => trust::run(&context, &arguments),
        Some(Command::Store(arguments)) => store::run(&context, arguments),
        Some(Command::Backup(arguments)) => backup::back_up(&context, &arguments),
        Some(Command::Restore(arguments)) => backup::restore(&context, &arguments),
        Some(Command::Cost(arguments)) => cost::run(&context, &arguments),
        Some(Command::Logs(arguments)) => logs::run(&context, &arguments),
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Daemon(arguments)) => daemon::run(&context, arguments),
        Some(Command::Web(arguments)) => web::run(&context, &arguments),
    }
}

fn finish(result: anyhow::Result<Exit>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        // A reader who left wants to hear no more.
        Err(error) if is_closed_pipe(&error) => Exit::Completed,
        Err(error) => {
            let text = format!("{error:#}");
            if !text.is_empty() {
                tell(&text);
            }
            error
                .downcast_ref::<Ended>()
                .map_or(Exit::Failed, |ended| ended.exit)
        }
    };
    ExitCode::from(exit as u8)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// One paragraph on standard error.
pub(crate) fn tell(text: &str) {
    let text = clean(text);
    let paragraph: Vec<&str> = text.split_whitespace().collect();
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(io::stderr(), "titanclaw: {}", paragraph.join(" ")));
}

/// A runtime for commands that only look: one thread.
pub(crate) fn light_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A runtime for commands that run an engine.
pub(crate) fn engine_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
