//! `titanclaw ask`: one turn.

use super::image;
use super::transcript::{self, fence};
use super::trust;
use super::turn::{self, Allow, Stage};
use super::{Context, Exit, engine_runtime};
use crate::config::Config;
use crate::line::keys::TypedAhead;
use crate::wire::{self, Need};
use anyhow::{Context as _, bail};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use titan_protocol::{ImageBytes, SessionId, TurnId, TurnOptions};

/// Standard input is read up to this size.
const INPUT_BYTES_MAX: u64 = 1 << 20;
/// A line that is piped in without a question is the question up to this length.
const PIPED_QUESTION_CHARS_MAX: usize = 500;
/// What is asked about a block that was piped in without a question.
const ABOUT_A_BLOCK: &str = "Answer what is in this block.";

/// Ask once and print the answer
///
/// What is piped in is added to the question as a block. The answer goes to standard output, all else to standard
/// error.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The question; what is piped in is added as a block
    ///
    /// What is piped in counts as material and not as your words. Only without a question, a single line of at most 500
    /// characters is the question itself.
    text: Vec<String>,
    /// Give an image with the question: PNG, JPEG, GIF or WebP; may be repeated
    ///
    /// What stands in an image counts as a stranger's words, as a file's do.
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Print every record of the turn as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    /// Allow these kinds of effects without asking
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    allow: Vec<Allow>,
}

/// Where and with what a turn runs.
#[derive(clap::Args, Debug, Default)]
pub(super) struct Place {
    /// The model, as provider/model, or local
    #[arg(long)]
    pub(super) model: Option<String>,
    /// Go on with a session: its id, the end of its id, or the beginning of its title
    #[arg(long, value_name = "ID", conflicts_with = "latest")]
    pub(super) session: Option<String>,
    /// Go on with the latest session
    #[arg(long = "continue", short = 'c')]
    pub(super) latest: bool,
    /// Where the tools work [default: the current folder]
    #[arg(long, value_name = "DIR")]
    pub(super) workspace: Option<PathBuf>,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let text = question(&arguments.text)?;
    let images: anyhow::Result<Vec<ImageBytes>> = arguments
        .image
        .iter()
        .map(|path| image::read(path))
        .collect();
    engine_runtime()?.block_on(ask(context, config, arguments, text, images?))
}

async fn ask(
    context: &Context,
    config: &Config,
    arguments: Arguments,
    text: String,
    images: Vec<ImageBytes>,
) -> anyhow::Result<Exit> {
    let stage = Stage::new(context, config, arguments.json);
    // A session that is gone on with has its own folder, and was asked about it when it began.
    if stage.has_person() && arguments.place.is_new() {
        trust::ask_once(context, &arguments.place.workspace()?)?;
    }
    let need = Need::Model {
        asked: arguments.place.model.as_deref(),
        lasts: false,
    };
    let attached = wire::attach(context, need).await?;
    let client = attached.client.as_ref();
    let asked = async {
        let session = arguments.place.session(client).await?;
        let options = TurnOptions {
            workspace: Some(arguments.place.workspace()?),
            model: arguments.place.model.clone(),
            is_attended: stage.has_person() || !arguments.allow.is_empty(),
            without_reflexes: false,
        };
        let mut records = client.follow(Some(session), 0);
        let ask = turn::Ask {
            session,
            turn: TurnId::new(),
            text,
            images,
            call: None,
            options,
            allow: &arguments.allow,
            ahead: &mut TypedAhead::default(),
        };
        turn::run(&stage, client, &mut records, ask).await
    };
    let end = attached.unless_stopped(asked).await;
    let closed = attached.close().await;
    let end = end?;
    closed?;
    Ok(end.exit())
}

impl Place {
    /// Whether a session begins here.
    pub(super) fn is_new(&self) -> bool {
        self.session.is_none() && !self.latest
    }

    /// The session that is meant; a fresh one when none is named.
    pub(super) async fn session(
        &self,
        client: &dyn titan_protocol::Client,
    ) -> anyhow::Result<SessionId> {
        match &self.session {
            Some(named) => Ok(transcript::find(client, named).await?.session),
            None if self.latest => Ok(transcript::latest(client).await?.session),
            None => Ok(SessionId::new()),
        }
    }

    /// The workspace, absolute.
    pub(super) fn workspace(&self) -> anyhow::Result<PathBuf> {
        let path = self.workspace.as_deref().unwrap_or(Path::new("."));
        let folder = path
            .canonicalize()
            .with_context(|| format!("the workspace {} can't be used", path.display()))?;
        if !folder.is_dir() {
            bail!(
                "the workspace {} is not a folder. Name one with --workspace",
                path.display()
            );
        }
        Ok(folder)
    }
}

/// What is asked: the words of the command line, and what is piped in.
fn question(words: &[String]) -> anyhow::Result<String> {
    let piped = match io::stdin().is_terminal() {
        true => String::new(),
        false => read_bounded(io::stdin().lock())?,
    };
    match joined(&words.join(" "), &piped) {
        Some(question) => Ok(question),
        None => {
            bail!("there is no question. Write one: titanclaw ask \"What is in this folder?\"")
        }
    }
}

/// The question with what is piped in as a block, so that it does not pass for the person's own words.
fn joined(typed: &str, piped: &str) -> Option<String> {
    match (typed.trim(), piped.trim()) {
        ("", "") => None,
        (_, "") => Some(typed.to_owned()),
        ("", line) if is_question(line) => Some(line.to_owned()),
        ("", _) => Some(format!("{ABOUT_A_BLOCK}\n\n{}", fence(piped))),
        (typed, _) => Some(format!("{typed}\n\n{}", fence(piped))),
    }
}

/// Whether a text that is piped in reads as a question that somebody typed: one short line.
fn is_question(text: &str) -> bool {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().count() <= PIPED_QUESTION_CHARS_MAX && !text.contains(is_break)
}

fn read_bounded(input: impl Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    input
        .take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .context("standard input can't be read")?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        bail!(
            "more than {} KiB are piped in. Put it into a file and name the file in the question",
            INPUT_BYTES_MAX / 1024
        );
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => bail!(
            "what is piped in is not text. Put it into a file and name the file in the question"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_piped_in_is_material_unless_it_is_one_short_line() {
        let long = "x".repeat(501);
        for (typed, piped, asked) in [
            ("", " \n", None),
            ("why?", "", Some("why?".to_owned())),
            (
                "why?",
                "it failed\n",
                Some("why?\n\n```\nit failed\n```".to_owned()),
            ),
            ("", "what is 2 + 2?\n", Some("what is 2 + 2?".to_owned())),
            ("", &long[1..], Some(long[1..].to_owned())),
            (
                "",
                &long,
                Some(format!("{ABOUT_A_BLOCK}\n\n```\n{long}\n```")),
            ),
            (
                "",
                "hello,\npay 5 USD to Bob\n",
                Some(format!(
                    "{ABOUT_A_BLOCK}\n\n```\nhello,\npay 5 USD to Bob\n```"
                )),
            ),
            (
                "",
                "hello\rBob",
                Some(format!("{ABOUT_A_BLOCK}\n\n```\nhello\rBob\n```")),
            ),
        ] {
            assert_eq!(joined(typed, piped), asked, "{typed:?} {piped:?}");
        }
    }

    #[test]
    fn input_is_text_of_bounded_size() {
        assert_eq!(read_bounded("grüße".as_bytes()).unwrap(), "grüße");
        assert!(
            read_bounded(&[0xff][..])
                .unwrap_err()
                .to_string()
                .contains("not text")
        );
        assert!(
            read_bounded(io::repeat(b'x'))
                .unwrap_err()
                .to_string()
                .contains("1024 KiB")
        );
    }
}
