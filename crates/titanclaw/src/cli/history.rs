//! `titanclaw history`: who wrote a file or some of its lines, when and why.

use super::{Context, Exit, light_runtime};
use crate::wire;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use titan_protocol::{COMMITS_MAX, HistoryQuestion};
use titan_tools::{history_of_lines, history_told};

/// Tell who wrote a file or some of its lines, when and why
///
/// What a commit says is its writer's word. Nothing that a repository names is run, and nothing is fetched.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The file; with :LINE or :FIRST-LAST, those lines of it
    #[arg(value_name = "FILE[:LINE[-LINE]]")]
    file: String,
    /// Commits to tell, newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = 1..=COMMITS_MAX as i64)]
    limit: i64,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let (name, lines) = asked(&arguments.file, |name| Path::new(name).exists());
    let path = absolute(name)?;
    let is_there = path.exists();
    let question = HistoryQuestion {
        path,
        lines,
        commits_max: usize::try_from(arguments.limit)?,
    };
    let history = light_runtime()?.block_on(wire::history(context, question))?;
    if !is_there && history.commits.is_empty() {
        bail!("there is no file {name}, and no commit has touched one of that name");
    }
    let output = context.output();
    if arguments.json {
        output.json(&history)?;
        return Ok(Exit::Completed);
    }
    let text = match lines {
        Some(_) if !history.lines.is_empty() => history_of_lines(&history),
        Some((first, _)) => {
            context.say(&format!(
                "nothing is known of line {first} of {name}, if it has one; this is the whole file's"
            ));
            history_told(&history)
        }
        None => history_told(&history),
    };
    output.text(&format!("{text}\n"))?;
    Ok(Exit::Completed)
}

/// The file and the lines that a text names. A file whose name ends like lines is meant as it is written.
fn asked(text: &str, is_there: impl Fn(&str) -> bool) -> (&str, Option<(u32, u32)>) {
    if is_there(text) {
        return (text, None);
    }
    let named = text.rsplit_once(':').and_then(|(name, range)| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (!name.is_empty() && 1 <= first && first <= last).then_some((name, (first, last)))
    });
    match named {
        Some((name, lines)) => (name, Some(lines)),
        None => (text, None),
    }
}

/// The file's path with its folder's links resolved. Neither has to be there: both may be gone.
fn absolute(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(name).with_context(|| format!("{name:?} is no path"))?;
    if let Ok(found) = path.canonicalize() {
        if found.is_dir() {
            bail!("{name} is a folder; name a file");
        }
        return Ok(found);
    }
    for folder in path.ancestors().skip(1) {
        if let (Ok(found), Ok(rest)) = (folder.canonicalize(), path.strip_prefix(folder)) {
            return Ok(found.join(rest));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_behind_the_name_of_a_file() {
        for (text, expected) in [
            ("f", ("f", None)),
            ("f:3", ("f", Some((3, 3)))),
            ("a/f.rs:3-9", ("a/f.rs", Some((3, 9)))),
            ("f:9-3", ("f:9-3", None)),
            ("f:0", ("f:0", None)),
            ("f:x", ("f:x", None)),
            (":3", (":3", None)),
            ("there:3", ("there:3", None)),
        ] {
            assert_eq!(asked(text, |name| name == "there:3"), expected, "{text}");
        }
    }
}
