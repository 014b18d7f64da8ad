//! `titanclaw tools list|show|run|test|keep|add|rollback|remove|export`: tools that are WebAssembly components.

use super::{Context, Exit, engine_runtime, light_runtime, transcript};
use crate::wire::{self, Need};
use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use titan_forge::FORGE_TOOL;
use titan_protocol::{Client, Draft, Event};
use titan_tui::render::table;
use titan_wasm::{COMPONENT_BYTES_MAX, Capability, Component};

/// Sessions that are looked through for a tool.
const SESSIONS_MAX: usize = 1_000;

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
    /// Try a tool that was written here on the examples that it was written with
    Test {
        /// Its name in the list
        name: String,
    },
    /// Keep a tool that was written in an earlier turn and destroyed
    Keep {
        /// The name that it was written with
        name: String,
    },
    /// Write a tool and its source into a folder
    Export {
        /// Its name in the list
        name: String,
        /// The folder; made if it isn't there
        folder: PathBuf,
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
        Command::Test { name } => return test(context, &name),
        Command::Keep { name } => {
            let said = engine_runtime()?.block_on(keep(context, &name))?;
            changed(context, &said)?;
        }
        Command::Export { name, folder } => export(context, &name, &folder)?,
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
    let mut text = format!(
        "{name}\n\n{}\n\ngets: {}\narguments: {schema}\n",
        component.spec().description,
        gets(&component),
    );
    if let Some(draft) = wire::tools::draft(context, name)? {
        text.push_str(&format!("source:\n\n{}\n", draft.source.trim_end()));
    }
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
    let component = wire::tools::examine(context, &named(file), &bytes)?;
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

/// What a command-line program in this file is called as a tool.
fn named(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.to_lowercase().replace(['-', '.', ' '], "_")
}

fn test(context: &Context, name: &str) -> anyhow::Result<Exit> {
    let component = wire::tools::find(context, name)?;
    let draft = written(context, name)?;
    let failed = engine_runtime()?.block_on(failed(context, &component, &draft))?;
    let n_all = draft.examples.len();
    let said = format!("{} of {n_all} examples passed\n", n_all - failed.len());
    let output = context.output();
    output.text(&format!("{}{said}", failed.concat()))?;
    Ok(match failed.is_empty() {
        true => Exit::Completed,
        false => Exit::Failed,
    })
}

/// What a tool was written as.
fn written(context: &Context, name: &str) -> anyhow::Result<Draft> {
    let draft = wire::tools::draft(context, name)?;
    draft.with_context(|| {
        format!("{name} was added by hand, so there is neither its source nor an example of it")
    })
}

/// The examples that a component does not give, a paragraph each.
async fn failed(
    context: &Context,
    component: &Component,
    draft: &Draft,
) -> anyhow::Result<Vec<String>> {
    let mut failed = Vec::new();
    for example in &draft.examples {
        let called =
            wire::tools::call_of(context, component.clone(), example.input.clone()).await?;
        if called.is_error || !titan_forge::agrees(&called.text, example) {
            let input = Value::Object(example.input.clone());
            failed.push(format!(
                "{input}\n  gave: {}\n  not:  {}\n",
                called.text, example.output
            ));
        }
    }
    Ok(failed)
}

/// Makes a tool again that stands in the journal, proves it and keeps it.
async fn keep(context: &Context, name: &str) -> anyhow::Result<String> {
    let attached = wire::attach(context, Need::Records).await?;
    let found = last_draft(attached.client.as_ref(), name).await;
    attached.close().await?;
    let Some(draft) = found? else {
        bail!("no tool called {name:?} was written in the sessions that are kept");
    };
    let component = wire::forge::make(context, &draft).await?;
    let ready = wire::tools::examine(context, &draft.spec.name, &component)?;
    let failed = failed(context, &ready, &draft).await?;
    if !failed.is_empty() {
        bail!(
            "it is not kept, since an example went wrong: {}",
            failed.concat()
        );
    }
    wire::tools::keep(context, &draft, &component)?;
    Ok(format!("{name} is kept and gets {}", gets(&ready)))
}

/// The tool of this name that was written last.
async fn last_draft(client: &dyn Client, name: &str) -> anyhow::Result<Option<Draft>> {
    for session in client.sessions(SESSIONS_MAX).await? {
        let records = transcript::records(client, &session).await?;
        let drafts = records
            .iter()
            .rev()
            .filter_map(|record| match &record.event {
                Event::ToolCallReady { call, .. } if call.name == FORGE_TOOL => {
                    titan_forge::draft_of(&call.arguments).ok()
                }
                _ => None,
            });
        if let Some(draft) = drafts.into_iter().find(|draft| draft.spec.name == name) {
            return Ok(Some(draft));
        }
    }
    Ok(None)
}

fn export(context: &Context, name: &str, folder: &Path) -> anyhow::Result<()> {
    let component = wire::tools::bytes(context, name)?;
    let mut files = vec![("wasm", component)];
    if let Some(draft) = wire::tools::draft(context, name)? {
        files.push(("json", serde_json::to_vec_pretty(&draft)?));
        files.push(("rs", draft.source.into_bytes()));
    }
    let cause = || format!("{} can't be written", folder.display());
    std::fs::create_dir_all(folder).with_context(cause)?;
    for (end, content) in &files {
        let path = folder.join(name).with_extension(end);
        let mut file = File::create_new(&path)
            .with_context(|| format!("{} can't be written", path.display()))?;
        file.write_all(content).with_context(cause)?;
    }
    let written: Vec<String> = files
        .iter()
        .map(|(end, _)| format!("{name}.{end}"))
        .collect();
    context.say(&format!("{} in {}", written.join(", "), folder.display()));
    Ok(())
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
        Capability::Wasi => "wasi (no files, no network)".to_owned(),
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
