//! `titanclaw reflexes list|show|why|prove|promote|demote|stats`: what is answered without a model.

use super::{Context, Exit, engine_runtime};
use crate::wire::{self, Need};
use anyhow::bail;
use titan_protocol::{Client, Judgement, Op, ReflexSummary};
use titan_tui::render::reflex;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List what was learned, and what comes with the program
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show how a reflex is asked and what it does
    Show {
        /// Its name in the list
        name: String,
    },
    /// Show why a reflex answers or does not: what it was built from, and its proof
    Why {
        /// Its name in the list
        name: String,
    },
    /// Prove a reflex anew on the turns that are recorded
    Prove {
        /// Its name in the list
        name: String,
    },
    /// Let a reflex answer from now on
    Promote {
        /// Its name in the list
        name: String,
    },
    /// Let a reflex answer no more
    Demote {
        /// Its name in the list
        name: String,
    },
    /// Show how often reflexes answered, and what that saved
    Stats,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    context.home.must_be_a_folder()?;
    engine_runtime()?.block_on(async {
        let attached = wire::attach(context, Need::Records).await?;
        let done = obey(context, attached.client.as_ref(), arguments.command).await;
        attached.close().await?;
        done
    })?;
    Ok(Exit::Completed)
}

async fn obey(context: &Context, client: &dyn Client, command: Command) -> anyhow::Result<()> {
    let output = context.output();
    match command {
        Command::List { json } => {
            let reflexes = client.reflexes().await?;
            if json {
                return reflexes.iter().try_for_each(|reflex| output.json(reflex));
            }
            output.lines(&reflex::list(&reflexes, output.width()))?;
            if reflexes.iter().all(|reflex| reflex.is_built_in) {
                context.say("nothing was learned yet: what is asked again and again in the same way is proposed");
            }
        }
        Command::Stats => output.lines(&reflex::stats(&client.reflexes().await?))?,
        Command::Show { name } => output.lines(&reflex::show(&find(client, &name).await?))?,
        Command::Why { name } => output.lines(&reflex::why(&find(client, &name).await?))?,
        Command::Prove { name } => {
            judge(client, &name, Judgement::Prove).await?;
            output.lines(&reflex::why(&find(client, &name).await?))?;
        }
        Command::Promote { name } => {
            judge(client, &name, Judgement::Promote).await?;
            context.say(&format!(
                "{name} answers from now on; to end it: titanclaw reflexes demote {name}"
            ));
        }
        Command::Demote { name } => {
            judge(client, &name, Judgement::Demote).await?;
            context.say(&format!("{name} answers no more"));
        }
    }
    Ok(())
}

async fn judge(client: &dyn Client, name: &str, judgement: Judgement) -> anyhow::Result<()> {
    let name = name.to_owned();
    Ok(client.submit(Op::JudgeReflex { name, judgement }).await?)
}

async fn find(client: &dyn Client, name: &str) -> anyhow::Result<ReflexSummary> {
    let found = client
        .reflexes()
        .await?
        .into_iter()
        .find(|reflex| reflex.name == name);
    match found {
        Some(reflex) => Ok(reflex),
        None => bail!("there is no reflex {name:?}; titanclaw reflexes list names all"),
    }
}
