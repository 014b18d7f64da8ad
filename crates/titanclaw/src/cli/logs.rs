//! `titanclaw logs [-f]`: the engine's log, one line an entry.

use super::{Context, Exit};
use crate::{logging, logs};
use anyhow::Context as _;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use titan_tui::render::visible::clean_line;

/// How often a followed file is looked at again.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Go on as the log grows
    #[arg(long, short)]
    follow: bool,
    /// This many entries from the end
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    lines: usize,
    /// The entries as they are stored
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Exit> {
    let path = logging::current(&context.home.logs());
    let mut reader = match open(&path) {
        Ok(reader) => reader,
        Err(error) if error.kind() == ErrorKind::NotFound && !arguments.follow => {
            context.say(&format!("there is no log yet at {}", path.display()));
            return Ok(Exit::Completed);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("{} can't be read", path.display()));
        }
    };
    let mut lines = rest(&mut reader)?;
    lines.drain(..lines.len().saturating_sub(arguments.lines));
    loop {
        for line in &lines {
            match arguments.json {
                true => context.output().json_line(line.trim_end())?,
                false => context
                    .output()
                    .text(&format!("{}\n", shown(line).trim_end()))?,
            }
        }
        if !arguments.follow {
            return Ok(Exit::Completed);
        }
        std::thread::sleep(LOOK_INTERVAL);
        lines = rest(&mut reader)?;
        let was_set_aside = is_another(reader.get_ref(), &path);
        if lines.is_empty()
            && was_set_aside
            && let Ok(next) = open(&path)
        {
            reader = next;
        }
    }
}

fn open(path: &Path) -> std::io::Result<BufReader<File>> {
    File::open(path).map(BufReader::new)
}

fn is_another(open: &File, path: &Path) -> bool {
    match (open.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() != named.ino(),
        _ => false,
    }
}

/// The whole lines from where the reader is to the end.
fn rest(reader: &mut BufReader<File>) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        lines.push(String::from_utf8_lossy(&bytes).into_owned());
        bytes.clear();
    }
    Ok(lines)
}

/// An entry for people: time, level, where, fields. What is no entry is shown as it is, made harmless.
fn shown(line: &str) -> String {
    let entry = logs::entry(line);
    if entry.at.is_empty() {
        return clean_line(&entry.message).into_owned();
    }
    let level = format!("{:?}", entry.level).to_uppercase();
    let fields = entry.fields.iter();
    let fields: String = fields
        .map(|(name, value)| format!(" {name}={value}"))
        .collect();
    let (at, target, message) = (&entry.at, &entry.target, &entry.message);
    clean_line(&format!("{at} {level:5} {target} {message}{fields}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_p15_an_entry_is_shown_as_one_harmless_line() {
        let line = r#"{"timestamp":"2026-11-22T10:00:00Z","level":"INFO","fields":{"message":"star\nted\u001b[2J","pid":7},"target":"titanclaw"}"#;
        assert_eq!(
            shown(line),
            "2026-11-22T10:00:00Z INFO  titanclaw star ted pid=7"
        );
        assert_eq!(shown("no \u{1b}[31mjson"), "no json");
    }
}
