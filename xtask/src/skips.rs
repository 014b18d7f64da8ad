//! Tests that did not run, each with what it needed; see `titan_testkit::skip`.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The file that tests append to, named to them by a variable.
pub(crate) struct Skips {
    path: PathBuf,
}

/// The variable that names the file. `titan_testkit::skip` reads it.
const VARIABLE: &str = "TITAN_SKIPS_FILE";

impl Skips {
    /// An empty list.
    pub(crate) fn begin() -> Result<Self> {
        let folder = crate::cargo::target_directory();
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join("titan-skips.txt");
        fs::write(&path, "").with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path })
    }

    /// Adds what was skipped elsewhere than in Rust's tests.
    pub(crate) fn add(&self, lines: &[String]) -> Result<()> {
        let mut text = fs::read_to_string(&self.path)?;
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(&self.path, text).with_context(|| format!("writing {}", self.path.display()))
    }

    /// The variable and its value, for the tests' environment.
    pub(crate) fn variable(&self) -> (&'static str, &PathBuf) {
        (VARIABLE, &self.path)
    }

    /// Prints what was skipped, and fails when this machine has what a test said it lacked. Gives their number.
    pub(crate) fn report(&self, provided: &[&str]) -> Result<usize> {
        let text = fs::read_to_string(&self.path)
            .with_context(|| format!("reading {}", self.path.display()))?;
        let lines: BTreeSet<&str> = text.lines().collect();
        for line in &lines {
            println!("{line}");
        }
        let wrong = unjustified(&lines, provided);
        if !wrong.is_empty() {
            bail!(
                "{} tests were skipped that this machine can run:\n{}",
                wrong.len(),
                wrong.join("\n")
            );
        }
        Ok(lines.len())
    }
}

/// Lines that name a need which is met. A line reads `skipped: NEED: TEST: why`.
fn unjustified<'a>(lines: &BTreeSet<&'a str>, provided: &[&str]) -> Vec<&'a str> {
    let need = |line: &'a str| line.strip_prefix("skipped: ")?.split(": ").next();
    let lines = lines.iter().copied();
    lines
        .filter(|line| need(line).is_none_or(|need| provided.contains(&need)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_for_something_that_is_there_is_no_excuse() {
        let lines = BTreeSet::from([
            "skipped: program:docker: a::b: no socket",
            "skipped: model:small: c::d: not in the cache",
            "not a skip at all",
        ]);
        assert_eq!(
            unjustified(&lines, &["model:small"]),
            [
                "not a skip at all",
                "skipped: model:small: c::d: not in the cache"
            ]
        );
    }
}
