//! Fuzzing for minutes: the same targets that every test run tries for a moment, each in turn, from a new seed.

use crate::cargo;
use anyhow::{Context, Result, bail};
use std::fs;

const CORPUS: &str = "fuzz/corpus";
const MINUTES_DEFAULT: u64 = 1;
/// A day.
const MINUTES_MAX: u64 = 24 * 60;

/// Fuzzes `[TARGET…] [--minutes N]`: each target for so many minutes, without names all of them. What fails is kept in
/// its corpus, so that every later test run tries it first.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let asked = Asked::of(arguments, &targets()?)?;
    let seconds = asked.minutes * 60;
    for target in &asked.targets {
        let test = format!("fuzz_{target}");
        let mut command =
            cargo::cargo(&["test", "--workspace", "--lib", "--bins", "--quiet", &test]);
        command.args(["--", "--nocapture"]);
        command.env("TITAN_FUZZ_SECONDS", seconds.to_string());
        cargo::run(command)?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let folder = cargo::root().join(CORPUS);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[derive(Debug, PartialEq)]
struct Asked {
    targets: Vec<String>,
    minutes: u64,
}

impl Asked {
    fn of(arguments: &[String], known: &[String]) -> Result<Self> {
        let (mut targets, mut minutes) = (Vec::new(), MINUTES_DEFAULT);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--minutes" {
                let n = rest.next().and_then(|n| n.parse().ok());
                let is_fine = |n: &u64| (1..=MINUTES_MAX).contains(n);
                minutes = n
                    .filter(is_fine)
                    .with_context(|| format!("--minutes needs a number from 1 to {MINUTES_MAX}"))?;
            } else if known.contains(argument) {
                targets.push(argument.clone());
            } else {
                bail!(
                    "there is no target {argument:?}; the targets are {}",
                    known.join(", ")
                );
            }
        }
        if targets.is_empty() {
            targets = known.to_vec();
        }
        Ok(Self { targets, minutes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_minutes_may_come_in_any_order() {
        let known = ["shell".to_owned(), "url".to_owned()];
        let of = |words: &str| {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            Asked::of(&words, &known)
        };
        let asked = |targets: &[&str], minutes| Asked {
            targets: targets.iter().map(|name| (*name).to_owned()).collect(),
            minutes,
        };
        assert_eq!(of("").unwrap(), asked(&["shell", "url"], 1));
        assert_eq!(of("--minutes 5 url").unwrap(), asked(&["url"], 5));
        assert!(of("ur").unwrap_err().to_string().contains("shell, url"));
        assert!(of("--minutes 0").is_err());
    }
}
