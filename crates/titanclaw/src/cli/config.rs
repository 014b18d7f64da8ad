//! `titanclaw config show|get|set|unset|check`.

use super::{Context, Exit};
use crate::config::{edit, keys};
use anyhow::bail;
use toml_edit::DocumentMut;

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Print what is set
    Show {
        /// Also every setting at its default, with what it is for
        #[arg(long)]
        all: bool,
    },
    /// Print one setting
    Get {
        /// Such as limits.turn_seconds
        key: String,
    },
    /// Change one setting
    Set {
        /// Such as limits.turn_seconds
        key: String,
        /// The new value
        value: String,
    },
    /// Go back to a setting's default
    Unset {
        /// Such as limits.turn_seconds
        key: String,
    },
    /// Check the file
    Check,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let path = context.home.config();
    match arguments.command {
        Command::Show { all } => {
            let document = edit::read(&path)?;
            let text = if all {
                reference(&document)
            } else {
                document.to_string()
            };
            context.output().text(&text)?;
        }
        Command::Get { key } => {
            let found = keys::find(&key).map_err(anyhow::Error::msg)?;
            let document = edit::read(&path)?;
            let value = written(&document, &key).unwrap_or_else(|| found.default.to_owned());
            context.output().text(&format!("{}\n", unquoted(&value)))?;
        }
        Command::Set { key, value } => {
            change(context, |document| edit::set(document, &key, &value))?
        }
        Command::Unset { key } => change(context, |document| edit::unset(document, &key))?,
        Command::Check => return check(context),
    }
    Ok(Exit::Completed)
}

fn change(
    context: &Context,
    edit: impl FnOnce(&mut DocumentMut) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    context.home.prepare()?;
    edit::change(&context.home.config(), edit)?;
    if context.home.socket().exists() {
        context.say("saved; an engine that runs already reads it when it starts again (titanclaw daemon stop)");
    }
    Ok(())
}

fn check(context: &Context) -> anyhow::Result<Exit> {
    let path = context.home.config();
    let findings = keys::check(&edit::read(&path)?);
    let n_errors = findings.iter().filter(|finding| finding.is_error).count();
    for finding in &findings {
        let kind = if finding.is_error { "error" } else { "warning" };
        context
            .output()
            .text(&format!("{kind}: {}\n", finding.text))?;
    }
    match n_errors {
        0 => {
            context.say(&format!("{} can be used", path.display()));
            Ok(Exit::Completed)
        }
        1 => bail!(
            "{} has an error; change it with `titanclaw config set` or an editor",
            path.display()
        ),
        n => bail!(
            "{} has {n} errors; change them with `titanclaw config set` or an editor",
            path.display()
        ),
    }
}

/// A setting as it is written in the file.
fn written(document: &DocumentMut, path: &str) -> Option<String> {
    let value = edit::get(document, path)?;
    Some(value.clone().decorated("", "").to_string())
}

fn unquoted(value: &str) -> String {
    match value.parse::<toml_edit::Value>() {
        Ok(toml_edit::Value::String(text)) => text.into_value(),
        _ => value.to_owned(),
    }
}

/// Every setting with what it is for; those that are not set are commented out.
fn reference(document: &DocumentMut) -> String {
    let mut text = String::new();
    let mut section = "";
    for key in keys::KEYS {
        let (in_section, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if in_section != section {
            section = in_section;
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}[{section}]\n"));
        }
        let allowed = keys::allowed(key.kind);
        let line = match written(document, key.path) {
            Some(value) => format!("{name} = {value}"),
            None if key.default.is_empty() => format!("# {name} ="),
            None => format!("# {name} = {}", key.default),
        };
        text.push_str(&format!("# {}; {allowed}\n{line}\n", key.about));
    }
    text.push_str("\n# [[providers]]\n");
    for key in keys::PROVIDER_KEYS {
        text.push_str(&format!(
            "# {}: {}; {}\n",
            key.path,
            key.about,
            keys::allowed(key.kind)
        ));
    }
    if let Some(providers) = document.get("providers") {
        let mut own = DocumentMut::new();
        own.insert("providers", providers.clone());
        text.push_str(&own.to_string());
    }
    text
}
