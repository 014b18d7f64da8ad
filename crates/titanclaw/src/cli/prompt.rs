//! Questions that a command asks the person before any engine runs. Names of models and sessions come into them from
//! elsewhere, so all are made harmless first.

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::SecretString;
use std::io::{self, BufRead, IsTerminal, Write};
use titan_tui::render::visible::{clean, clean_line};

/// Whether somebody sits at a terminal and can be asked.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line. An empty answer is the default.
pub(super) fn line(question: &str, default: &str) -> anyhow::Result<String> {
    let hint = if default.is_empty() {
        String::new()
    } else {
        format!(" [{default}]")
    };
    put(&format!("{question}{hint}: "))?;
    let answer = read()?;
    Ok(if answer.is_empty() {
        default.to_owned()
    } else {
        answer
    })
}

/// Asks yes or no.
pub(super) fn yes(question: &str, default: bool) -> anyhow::Result<bool> {
    let hint = if default { "Y/n" } else { "y/N" };
    loop {
        match line(&format!("{question} ({hint})"), "")?
            .to_ascii_lowercase()
            .as_str()
        {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => put("Please answer y or n.\n")?,
        }
    }
}

/// Asks for one of several, by number; gives its position.
pub(super) fn choice(question: &str, choices: &[String]) -> anyhow::Result<usize> {
    for (idx, choice) in choices.iter().enumerate() {
        put(&format!("  {}  {}\n", idx + 1, clean_line(choice)))?;
    }
    loop {
        let answer = line(question, "1")?;
        match answer.parse::<usize>() {
            Ok(number) if (1..=choices.len()).contains(&number) => return Ok(number - 1),
            _ => put(&format!(
                "Please answer with a number from 1 to {}.\n",
                choices.len()
            ))?,
        }
    }
}

/// Asks for a secret without showing it. From a pipe, the first line is taken.
pub(super) fn secret(question: &str) -> anyhow::Result<SecretString> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return read().map(SecretString::from);
    }
    put(&format!("{question}: "))?;
    let before = tcgetattr(&stdin)?;
    let mut hidden = before.clone();
    hidden.local_modes &= !LocalModes::ECHO;
    hidden.local_modes |= LocalModes::ECHONL;
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let answer = read();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    answer.map(SecretString::from)
}

/// Shows something to whoever is asked.
pub(super) fn put(text: &str) -> anyhow::Result<()> {
    let mut out = io::stderr();
    out.write_all(clean(text).as_bytes())?;
    Ok(out.flush()?)
}

fn read() -> anyhow::Result<String> {
    let mut answer = String::new();
    let n_bytes = io::stdin().lock().read_line(&mut answer)?;
    (n_bytes > 0)
        .then_some(())
        .context("the input ended before the question was answered")?;
    Ok(answer.trim().to_owned())
}
