//! `titanclaw toolchain status|prepare|doctor`: the compiler for tools that the engine writes.

use super::{Context, Exit, engine_runtime, tell};
use crate::wire::{self, forge};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use titan_tui::render::table;
use titan_wasm::{Class, Progress};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Show which compilers are here and whether one is ready
    Status,
    /// Make a compiler ready, once; nothing is installed or downloaded
    Prepare,
    /// Have the compiler that is ready make a tool, and run it
    Doctor,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    context.home.must_be_a_folder()?;
    engine_runtime()?.block_on(async {
        match arguments.command {
            Command::Status => status(context).await,
            Command::Prepare => prepare(context).await,
            Command::Doctor => doctor(context).await,
        }
    })
}

async fn status(context: &Context) -> anyhow::Result<Exit> {
    let found = forge::find(context).await?;
    let row = |one: &titan_wasm::Candidate| {
        let class = match one.class {
            Class::Ready => "can be used",
            Class::Buildable => "can be used once its standard library is compiled",
            Class::Missing => "can't be used",
        };
        let why = one
            .lacks
            .as_deref()
            .map(|lacks| format!(": it {lacks}"))
            .unwrap_or_default();
        vec![
            one.rustc.display().to_string(),
            one.version.clone(),
            format!("{class}{why}"),
        ]
    };
    let rows: Vec<Vec<String>> = found.candidates.iter().map(row).collect();
    let output = context.output();
    if !rows.is_empty() {
        output.lines(&table::columns_of(
            &["compiler", "version", "for tools"],
            &rows,
            output.width(),
        ))?;
    }
    Ok(match found.ready {
        Some(ready) => {
            output.text(&format!(
                "ready: {} {}\n",
                ready.rustc.display(),
                ready.version
            ))?;
            Exit::Completed
        }
        None => {
            tell(&found.toolchain.missing(&found.candidates));
            Exit::Failed
        }
    })
}

async fn prepare(context: &Context) -> anyhow::Result<Exit> {
    let mut shown = Shown::new(context.is_quiet);
    let prepared = tokio::select! {
        prepared = forge::prepare(context, |progress| shown.tell(&progress)) => prepared,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!(super::Ended {
            exit: Exit::Interrupted,
            text: "stopped; nothing was prepared. Go on at any time: titanclaw toolchain prepare".to_owned(),
        })),
    };
    shown.bar.finish_and_clear();
    // What was stopped is ended before this program is.
    titan_sandbox::HostWorkbench::programs_ended().await;
    let ready = prepared?;
    let said = format!(
        "{} {} is ready: it made a tool that works",
        ready.rustc.display(),
        ready.version
    );
    match wire::tools::tell_engine(context).await {
        Ok(None) => context.say(&said),
        Ok(Some(_)) => context.say(&format!("{said}; the engine that runs has taken it up")),
        Err(error) => context.say(&format!(
            "{said}; the engine that runs has not taken it up: {error:#}"
        )),
    }
    Ok(Exit::Completed)
}

async fn doctor(context: &Context) -> anyhow::Result<Exit> {
    let ready = forge::prove(context).await?;
    let text = format!(
        "{} {} made a tool, and it gave what it should\n",
        ready.rustc.display(),
        ready.version
    );
    context.output().text(&text)?;
    Ok(Exit::Completed)
}

/// The work as it goes: a bar on a terminal, a line for each part of it elsewhere, nothing with `--quiet`.
struct Shown {
    bar: ProgressBar,
    has_lines: bool,
    told: &'static str,
}

impl Shown {
    fn new(is_quiet: bool) -> Self {
        let has_terminal = io::stderr().is_terminal();
        let target = match is_quiet || !has_terminal {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(1), target);
        let style = ProgressStyle::with_template("{msg} {bar:24} {pos}/{len} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            has_lines: !is_quiet && !has_terminal,
            told: "",
        }
    }

    fn tell(&mut self, progress: &Progress) {
        self.bar.set_message(progress.what);
        self.bar.set_length(progress.all);
        self.bar.set_position(progress.done);
        if self.has_lines && self.told != progress.what {
            self.told = progress.what;
            tell(&format!("preparing: {}", progress.what));
        }
    }
}
