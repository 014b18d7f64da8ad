//! `titanclaw sessions list|show|resume|branch|export|diff|undo|forget`.

use super::ask::Place;
use super::{Context, Ended, Exit, branch, chat, engine_runtime, prompt, transcript, undo};
use crate::line::output::Output;
use crate::wire::{self, Need};
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use titan_protocol::{Client, Forget, Op, SessionSummary};
use titan_tui::render::markdown::Layout;
use titan_tui::render::visible::json;
use titan_tui::render::{self, table};

/// Columns of a session shown in a pipe.
const PIPE_COLUMNS: usize = 100;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    #[command(flatten)]
    Stored(Stored),
    /// Go on with a session in the terminal
    Resume {
        /// Its id, the end of its id, or the beginning of its title [default: the latest]
        session: Option<String>,
        /// Line by line, for screen readers and simple terminals
        #[arg(long)]
        plain: bool,
    },
}

/// What only needs the store.
#[derive(clap::Subcommand, Debug)]
enum Stored {
    /// List sessions, the latest first
    List {
        /// At most this many
        #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
        limit: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print a session
    Show {
        /// Its id, the end of its id, or the beginning of its title
        session: String,
    },
    /// Write a session to a file or standard output
    Export {
        /// Its id, the end of its id, or the beginning of its title
        session: String,
        /// The file; standard output when left out
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// As Markdown, or as one JSON record a line
        #[arg(long, value_enum, default_value_t = Format::Markdown)]
        format: Format,
    },
    /// Show what a turn changed in files
    Diff {
        /// Its id, the end of its id, or the beginning of its title
        session: String,
        /// The turn's number, counted from 1, or its id [default: the last that changed files]
        turn: Option<String>,
    },
    /// Put the files that a turn changed back as they were before it
    Undo {
        /// Its id, the end of its id, or the beginning of its title
        session: String,
        /// The turn's number, counted from 1, or its id, or that of an undo [default: the last that is not undone]
        turn: Option<String>,
        /// Also what was changed since
        #[arg(long)]
        force: bool,
    },
    /// Go back to an earlier turn and go on from there in a session of its own
    ///
    /// Both share what was said until then; what is forgotten there is gone here too. Files stay as they are.
    Branch {
        /// Its id, the end of its id, or the beginning of its title
        session: String,
        /// The last turn that is shared: its number, counted from 1, or its id [default: the last]
        turn: Option<String>,
    },
    /// Delete a session for good, with all it holds
    Forget {
        /// Its id, the end of its id, or the beginning of its title
        session: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Markdown,
    Json,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let command = match arguments.command {
        Command::Stored(command) => command,
        Command::Resume { session, plain } => {
            let place = Place {
                latest: session.is_none(),
                session,
                ..Place::default()
            };
            return chat::run(context, chat::Arguments { plain, place });
        }
    };
    let config = context.config()?;
    engine_runtime()?.block_on(async {
        let attached = wire::attach(context, Need::Records).await?;
        let output = Output::new(context.color(config), context.env.no_color);
        let done = perform(context, command, attached.client.as_ref(), output).await;
        let closed = attached.close().await;
        done?;
        closed?;
        Ok(Exit::Completed)
    })
}

async fn perform(
    context: &Context,
    command: Stored,
    client: &dyn Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        Stored::List { limit, json } => list(context, client, output, limit, json).await,
        Stored::Show { session } => {
            let session = transcript::find(client, &session).await?;
            let layout = Layout {
                width: output.width().unwrap_or(PIPE_COLUMNS),
                has_color: output.has_color,
            };
            let records = transcript::records(client, &session).await?;
            Ok(output.lines(&transcript::lines(&records, layout))?)
        }
        Stored::Export {
            session,
            output: file,
            format,
        } => {
            let session = transcript::find(client, &session).await?;
            let text = exported(client, &session, format).await?;
            match file {
                None => Ok(output.text(&text)?),
                Some(file) => {
                    std::fs::write(&file, text)
                        .with_context(|| format!("{} can't be written", file.display()))?;
                    context.say(&format!("written to {}", file.display()));
                    Ok(())
                }
            }
        }
        Stored::Diff { session, turn } => {
            let session = transcript::find(client, &session).await?.session;
            undo::diff(client, session, turn.as_deref(), output).await
        }
        Stored::Undo {
            session,
            turn,
            force,
        } => {
            let session = transcript::find(client, &session).await?.session;
            let undone = undo::undo(client, session, turn.as_deref(), force).await?;
            output.lines(&undone.lines)?;
            match undone.is_whole {
                true => Ok(()),
                false => Err(Ended {
                    exit: Exit::Failed,
                    text: "not every file could be put back".to_owned(),
                }
                .into()),
            }
        }
        Stored::Branch { session, turn } => {
            let session = transcript::find(client, &session).await?.session;
            let into = branch::branch(client, session, turn.as_deref()).await?;
            output.text(&format!("{into}\n"))?;
            context.say(&format!(
                "a branch begins; go on with `titanclaw sessions resume {}`",
                transcript::ending(into)
            ));
            Ok(())
        }
        Stored::Forget { session, yes } => forget(context, client, &session, yes).await,
    }
}

async fn list(
    context: &Context,
    client: &dyn Client,
    output: Output,
    limit: usize,
    is_json: bool,
) -> anyhow::Result<()> {
    let sessions = client.sessions(limit).await?;
    if is_json {
        return sessions.iter().try_for_each(|session| output.json(session));
    }
    if sessions.is_empty() {
        context.say("there is no session yet; start one with `titanclaw ask`");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            let running = if session.is_running { "running" } else { "" };
            vec![
                transcript::short(session),
                render::moment(session.active_at),
                session.turns.to_string(),
                render::money(session.usage.cost_usd_micros),
                running.to_owned(),
                format!("{}{}", render::branch_mark(session), session.title),
            ]
        })
        .collect();
    let head = ["id", "active", "turns", "cost", "", "title"];
    Ok(output.lines(&table::columns_of(&head, &rows, output.width()))?)
}

async fn exported(
    client: &dyn Client,
    session: &SessionSummary,
    format: Format,
) -> anyhow::Result<String> {
    let records = transcript::records(client, session).await?;
    match format {
        Format::Markdown => Ok(transcript::markdown(session, &records)),
        Format::Json => records
            .iter()
            .map(|record| Ok(json(&serde_json::to_string(record)?).into_owned() + "\n"))
            .collect(),
    }
}

async fn forget(
    context: &Context,
    client: &dyn Client,
    named: &str,
    is_sure: bool,
) -> anyhow::Result<()> {
    let session = transcript::find(client, named).await?;
    if !is_sure {
        if !prompt::is_possible() {
            bail!("deleting can't be undone. Say that you mean it: add --yes");
        }
        let question = format!(
            "Delete {:?} ({} turns) for good?",
            session.title, session.turns
        );
        if !prompt::yes(&question, false)? {
            bail!("nothing was deleted");
        }
    }
    let what = Forget::Session {
        session: session.session,
    };
    client.submit(Op::Forget { what }).await?;
    context.say(&format!("forgotten: {:?}", session.title));
    Ok(())
}
