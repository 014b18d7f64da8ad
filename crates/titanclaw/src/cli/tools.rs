//! `titanclaw tools list|show|run|add|rollback|remove`: tools that are WebAssembly components.

use super::{Context, Exit, light_runtime};
use crate::wire;
use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use titan_tui::render::table;
use titan_wasm::{COMPONENT_BYTES_MAX, Capability, Component};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the components that are kept
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a component says of itself
    Show {
        /// Its name in the list
        name: String,
    },
    /// Run a component once
    Run {
        /// Its name in the list
        name: String,
        /// Its arguments, a JSON object
        arguments: String,
    },
    /// Keep a component and offer it to models
    Add {
        /// A component of a world in wit/
        file: PathBuf,
        /// Put it in the place of the one of its name, which is kept for a rollback
        #[arg(long)]
        replace: bool,
        /// Arguments that it is called with first; only if that works is it kept
        #[arg(long, value_name = "ARGUMENTS")]
        probe: Option<String>,
    },
    /// Take the version before the last --replace back
    Rollback {
        /// Its name in the list
        name: String,
    },
    /// Delete a component
    Remove {
        /// Its name in the list
        name: String,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    context.home.must_be_a_folder()?;
    match arguments.command {
        Command::List { json } => list(context, json)?,
        Command::Show { name } => show(context, &name)?,
        Command::Run { name, arguments } => return call(context, &name, &arguments),
        Command::Add {
            file,
            replace,
            probe,
        } => {
            let said = add(context, &file, replace, probe.as_deref())?;
            changed(context, &said)?;
        }
        Command::Rollback { name } => {
            wire::tools::roll_back(context, &name)?;
            changed(context, &format!("the version of {name} before is back"))?;
        }
        Command::Remove { name } => {
            wire::tools::remove(context, &name)?;
            changed(context, &format!("{name} is gone"))?;
        }
    }
    Ok(Exit::Completed)
}

/// Says what was done, and has an engine that runs take it up.
fn changed(context: &Context, said: &str) -> anyhow::Result<()> {
    let told = light_runtime()?.block_on(wire::tools::tell_engine(context));
    match told {
        Ok(None) => context.say(said),
        Ok(Some(told)) => {
            context.say(&format!("{said}; the engine that runs has taken it up"));
            told.iter().for_each(|line| context.say(line));
        }
        Err(error) => context.say(&format!(
            "{said}; the engine that runs has not taken it up: {error:#}"
        )),
    }
    Ok(())
}

fn list(context: &Context, is_json: bool) -> anyhow::Result<()> {
    let kept = wire::tools::kept(context)?;
    let output = context.output();
    if is_json {
        let kept: Vec<Value> = kept
            .iter()
            .map(|kept| match &kept.component {
                Ok(component) => described(component),
                Err(error) => json!({ "name": kept.name, "error": format!("{error:#}") }),
            })
            .collect();
        return output.json(&kept);
    }
    if kept.is_empty() {
        context.say("no component is kept; add one: titanclaw tools add FILE.wasm");
        return Ok(());
    }
    let row = |kept: &wire::tools::Kept| match &kept.component {
        Ok(component) => vec![
            kept.name.clone(),
            gets(component),
            first_line(&component.spec().description).to_owned(),
        ],
        Err(error) => vec![
            kept.name.clone(),
            String::new(),
            format!("not offered: {error:#}"),
        ],
    };
    let rows: Vec<Vec<String>> = kept.iter().map(row).collect();
    let lines = table::columns_of(&["tool", "gets", "about"], &rows, output.width());
    Ok(output.lines(&lines)?)
}

fn show(context: &Context, name: &str) -> anyhow::Result<()> {
    let component = wire::tools::find(context, name)?;
    let schema = serde_json::to_string_pretty(&component.spec().input_schema)?;
    let text = format!(
        "{name}\n\n{}\n\ngets: {}\narguments: {schema}\n",
        component.spec().description,
        gets(&component),
    );
    Ok(context.output().text(&text)?)
}

fn call(context: &Context, name: &str, arguments: &str) -> anyhow::Result<Exit> {
    let arguments = object(arguments)?;
    let called = light_runtime()?.block_on(wire::tools::call(context, name, arguments))?;
    if called.is_error {
        bail!("{}", called.text);
    }
    context.output().text(&format!("{}\n", called.text))?;
    Ok(Exit::Completed)
}

fn add(
    context: &Context,
    file: &Path,
    replaces: bool,
    probe: Option<&str>,
) -> anyhow::Result<String> {
    let cause = || format!("{} can't be read", file.display());
    if !file.is_file() {
        bail!("{}: it is not a file", cause());
    }
    let mut bytes = Vec::new();
    File::open(file)
        .with_context(cause)?
        // One more than is allowed, so that what is too large is told as such.
        .take(COMPONENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(cause)?;
    let component = wire::tools::examine(context, &bytes)?;
    if let Some(arguments) = probe {
        let arguments = object(arguments)?;
        let called = wire::tools::call_of(context, component.clone(), arguments);
        let called = light_runtime()?.block_on(called)?;
        if called.is_error {
            bail!(
                "it is not kept, since the call that it was tried with failed: {}",
                called.text
            );
        }
    }
    let name = &component.spec().name;
    wire::tools::add(context, &bytes, name, replaces)?;
    Ok(format!("{name} is kept and gets {}", gets(&component)))
}

fn object(arguments: &str) -> anyhow::Result<Map<String, Value>> {
    serde_json::from_str(arguments)
        .context("the arguments must be a JSON object, such as '{\"a\": 1}'")
}

fn described(component: &Component) -> Value {
    let spec = component.spec();
    let capabilities = component.capabilities().iter();
    json!({
        "name": spec.name,
        "description": spec.description,
        "input_schema": spec.input_schema,
        "capabilities": capabilities.map(|one| one.name()).collect::<Vec<_>>(),
        "hosts": component.hosts().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tools": component.tools(),
    })
}

/// What it gets, with the hosts and tools that it may ask.
fn gets(component: &Component) -> String {
    let hosts: Vec<String> = component.hosts().iter().map(ToString::to_string).collect();
    let one = |one: &Capability| match one {
        Capability::Http => format!("http ({})", hosts.join(", ")),
        Capability::Tools => format!("tools ({})", component.tools().join(", ")),
        one => one.name().to_owned(),
    };
    let names: Vec<String> = component.capabilities().iter().map(one).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
