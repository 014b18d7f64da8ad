//! `titanclaw memory search|show|add|edit|forget|graph|why|export|import`: what is known over sessions.

use super::{Context, Exit, engine_runtime};
use crate::wire::{self, Need};
use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use titan_memory::{from_markdown, from_text, time_of, to_markdown};
use titan_protocol::{
    DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, HITS_MAX, Memory, MemoryDocument, MemoryDraft, MemoryFact,
    MemoryHit, MemoryOrigin, MemoryQuery, MemoryQuestion, MemoryReading, MemoryReason,
    MemoryStatement, ReadIn,
};

/// Characters of an id that are shown, and that name a document if no other begins so.
const ID_CHARS: usize = 10;
/// Characters of a text that a line shows.
const LINE_CHARS_MAX: usize = 240;
/// Files that one import reads.
const FILES_MAX: usize = 10_000;
/// Folders within one another that are gone into.
const DEPTH_MAX: usize = 16;
/// What files of text end with.
const TEXT_ENDINGS: &[&str] = &["md", "markdown", "txt", "rst", "org", "adoc"];

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Find what answers a question, by words, meaning and names
    Search {
        /// The question; without one, the newest
        question: Vec<String>,
        /// How many at most
        #[arg(long, default_value_t = 8)]
        limit: usize,
        /// What no longer holds too
        #[arg(long)]
        history: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show a document as a file
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Keep a note, or what a file says
    Add {
        /// The note
        text: Vec<String>,
        /// A word to find it by; may be given again
        #[arg(long = "tag", value_name = "WORD")]
        tags: Vec<String>,
        /// When it ceases to hold: a day or a moment
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Change a document: to another text, or to what a file says that `show` wrote
    Edit {
        /// Its id, or the beginning of it
        id: String,
        /// The text that takes its place
        #[arg(required_unless_present = "from")]
        text: Vec<String>,
        /// A file as `show` writes it
        #[arg(long, value_name = "FILE", conflicts_with = "text")]
        from: Option<PathBuf>,
    },
    /// Delete documents for good
    Forget {
        /// Their ids, or the beginnings of them
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Show what is known of a name: what it is connected with, and what is about it
    Graph {
        /// The name
        #[arg(required = true)]
        name: Vec<String>,
        /// How many at most
        #[arg(long, default_value_t = 12)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show why documents answer a question, and over which names they were come to
    Why {
        /// The question
        #[arg(required = true)]
        question: Vec<String>,
    },
    /// Write every document into a folder, as files that can be read, changed and imported again
    Export {
        /// The folder, which is made
        folder: PathBuf,
    },
    /// Keep what files say: those that export wrote, or any text
    Import {
        /// Files, or folders of them
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// They are yours: what export wrote keeps its origin, and all else you wrote; both may contradict what was said before
        #[arg(long)]
        mine: bool,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    context.home.must_be_a_folder()?;
    engine_runtime()?.block_on(async {
        let attached = wire::attach(context, Need::Records).await?;
        let done = obey(context, attached.memory.as_ref(), arguments.command).await;
        attached.close().await?;
        done
    })?;
    Ok(Exit::Completed)
}

async fn obey(context: &Context, memory: &dyn Memory, command: Command) -> anyhow::Result<()> {
    let output = context.output();
    match command {
        Command::Search {
            question,
            limit,
            history,
            json,
        } => {
            let hits = search(memory, question.join(" "), limit, history).await?;
            for hit in &hits {
                match json {
                    true => output.json(hit)?,
                    false => output.text(&line(&hit.document))?,
                }
            }
            say_if_none(context, &hits);
        }
        Command::Show { id } => {
            let document = find(memory, &id).await?;
            output.text(&to_markdown(&document))?;
            // Beside the file, which is what the document says and no more.
            if let Some(reading) = &document.reading {
                context.say(&reading_words(reading));
            }
        }
        Command::Add { text, tags, until } => {
            let draft = MemoryDraft {
                text: text.join(" "),
                tags,
                valid_until: until
                    .map(|until| time_of(&until))
                    .transpose()
                    .map_err(anyhow::Error::msg)?,
                ..MemoryDraft::default()
            };
            output.text(&line(&memory.keep(draft).await?))?;
        }
        Command::Edit { id, text, from } => {
            let old = find(memory, &id).await?;
            let draft = match from {
                Some(path) => changed(&old, &path)?,
                None => MemoryDraft {
                    text: text.join(" "),
                    ..draft_of(&old)
                },
            };
            let draft = MemoryDraft {
                replaces: Some(old.id),
                ..draft
            };
            output.text(&line(&memory.keep(draft).await?))?;
        }
        Command::Forget { ids } => {
            for id in ids {
                let document = find(memory, &id).await?;
                memory.discard(document.id.clone()).await?;
                context.say(&format!("{} is deleted for good", short(&document.id)));
            }
        }
        Command::Graph { name, limit, json } => {
            let name = name.join(" ");
            let known = memory.graph(name.clone(), limit).await?;
            if json {
                return output.json(&known);
            }
            let Some(found) = &known.name else {
                bail!(
                    "nothing is known of {name:?}; the memory knows {} names and passages",
                    known.nodes
                );
            };
            output.text(&format!("{found}\n"))?;
            for relation in &known.related {
                let documents: Vec<&str> = relation.documents.iter().map(|id| short(id)).collect();
                output.text(&format!(
                    "  {:4.1} %  {}  ({})\n",
                    relation.weight * 100.0,
                    relation.name,
                    documents.join(", ")
                ))?;
            }
            for statement in &known.facts {
                output.text(&format!("  {}\n", statement_words(statement)))?;
            }
            for (label, id) in &known.passages {
                output.text(&format!("  {}  {label}\n", short(id)))?;
            }
        }
        Command::Why { question } => {
            let hits = search(memory, question.join(" "), 8, false).await?;
            for hit in &hits {
                output.text(&line(&hit.document))?;
                for reason in &hit.reasons {
                    output.text(&format!("    {}\n", reason_words(reason)))?;
                }
                output.text(&format!(
                    "    {:.3} in all; {}\n",
                    hit.score,
                    origin_words(&hit.document)
                ))?;
            }
            say_if_none(context, &hits);
        }
        Command::Export { folder } => export(context, memory, &folder).await?,
        Command::Import { paths, mine } => import(context, memory, &paths, mine).await?,
    }
    Ok(())
}

fn say_if_none(context: &Context, hits: &[MemoryHit]) {
    if hits.is_empty() {
        context.say("nothing is known of that");
    }
}

async fn search(
    memory: &dyn Memory,
    text: String,
    limit: usize,
    with_history: bool,
) -> anyhow::Result<Vec<MemoryHit>> {
    if !text.trim().is_empty() {
        let question = MemoryQuestion {
            text,
            limit: limit.clamp(1, HITS_MAX),
            with_history,
        };
        return Ok(memory.recall(question).await?);
    }
    let newest = MemoryQuery {
        limit,
        ..MemoryQuery::default()
    };
    let newest = memory.find(newest).await?.into_iter();
    let hits = newest.map(|document| MemoryHit {
        document,
        begins_at: 0,
        score: 0.0,
        reasons: Vec::new(),
    });
    Ok(hits.collect())
}

/// The document whose id begins so.
async fn find(memory: &dyn Memory, id: &str) -> anyhow::Result<MemoryDocument> {
    if let Some(document) = memory.get(id.to_owned()).await? {
        return Ok(document);
    }
    let after = MemoryQuery {
        after: Some(id.to_owned()),
        limit: 2,
        ..MemoryQuery::default()
    };
    let after = memory.find(after).await?;
    let mut found = after
        .into_iter()
        .filter(|document| id.len() >= 4 && document.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(document), None) => Ok(document),
        (None, _) => bail!("there is no document {id:?}; titanclaw memory search names some"),
        (Some(_), Some(_)) => bail!("more than one document begins with {id:?}; give more of it"),
    }
}

fn short(id: &str) -> &str {
    id.get(..ID_CHARS).unwrap_or(id)
}

/// A document on one line: its id, what it is called, how it begins, and what no longer holds of it.
fn line(document: &MemoryDocument) -> String {
    let words: Vec<&str> = document
        .text
        .split_whitespace()
        .take(LINE_CHARS_MAX)
        .collect();
    let words = words.join(" ");
    let mut text: String = words.chars().take(LINE_CHARS_MAX).collect();
    if text.len() < words.len() {
        text.push('…');
    }
    let title = match document.title.is_empty() {
        true => String::new(),
        false => format!("{}: ", document.title),
    };
    let tags = match document.tags.is_empty() {
        true => String::new(),
        false => format!(" [{}]", document.tags.join(", ")),
    };
    let past = match document.superseded_by.as_deref() {
        Some(newer) => format!(" (no longer: {})", short(newer)),
        None => String::new(),
    };
    format!("{}  {title}{text}{tags}{past}\n", short(&document.id),)
}

fn origin_words(document: &MemoryDocument) -> String {
    let from = match &document.origin {
        MemoryOrigin::Person => "written by you".to_owned(),
        MemoryOrigin::Turn { session, turn } => format!("kept in session {session}, turn {turn}"),
        MemoryOrigin::Untrusted => "written by others".to_owned(),
    };
    let session = match &document.read_in {
        Some(ReadIn { session, .. }) => format!(" in session {session}"),
        None => String::new(),
    };
    match &document.source {
        Some(source) => format!("{from}, read from {source}{session}"),
        None => from,
    }
}

fn reason_words(reason: &MemoryReason) -> String {
    match reason {
        MemoryReason::Words { words } => format!("has the words {}", words.join(", ")),
        MemoryReason::Meaning { likeness } => format!("means something like it ({likeness:.2})"),
        MemoryReason::Named { name } => format!("is about {name}"),
        MemoryReason::Linked { path } => format!("comes by {}", path.join(" → ")),
    }
}

fn fact_words(fact: &MemoryFact) -> String {
    [fact.subject.as_str(), &fact.relation, &fact.object].join(" — ")
}

fn statement_words(statement: &MemoryStatement) -> String {
    format!(
        "{}  ({}, read by {}, {:.0} % sure)",
        fact_words(&statement.fact),
        short(&statement.document),
        statement.model,
        statement.confidence * 100.0
    )
}

/// What a model read in a document, on one line.
fn reading_words(reading: &MemoryReading) -> String {
    let names = match reading.names.is_empty() {
        true => "no names".to_owned(),
        false => format!("names {}", reading.names.join(", ")),
    };
    let relations = reading.relations.iter().map(fact_words);
    let read: Vec<String> = std::iter::once(names).chain(relations).collect();
    format!("read by {}: {}", reading.model, read.join("; "))
}

fn draft_of(document: &MemoryDocument) -> MemoryDraft {
    MemoryDraft {
        kind: document.kind,
        title: document.title.clone(),
        text: document.text.clone(),
        tags: document.tags.clone(),
        source: document.source.clone(),
        origin: document.origin.clone(),
        valid_until: document.valid_until,
        replaces: None,
    }
}

/// A document as a file says that it is now.
fn changed(document: &MemoryDocument, path: &Path) -> anyhow::Result<MemoryDraft> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} can't be read", path.display()))?;
    let said = from_markdown(&text).map_err(anyhow::Error::msg)?;
    Ok(said.unwrap_or_else(|| MemoryDraft {
        text,
        ..draft_of(document)
    }))
}

async fn export(context: &Context, memory: &dyn Memory, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} can't be made", folder.display()))?;
    let mut count = 0;
    let mut after = String::new();
    loop {
        let some = MemoryQuery {
            after: Some(after.clone()),
            limit: DOCUMENTS_MAX,
            ..MemoryQuery::default()
        };
        let some = memory.find(some).await?;
        let Some(last) = some.last() else {
            break;
        };
        after.clone_from(&last.id);
        for document in &some {
            let path = folder.join(format!("{}.md", file_name(document)));
            std::fs::write(&path, to_markdown(document))
                .with_context(|| format!("{} can't be written", path.display()))?;
        }
        count += some.len();
    }
    context.say(&format!("{count} documents are in {}", folder.display()));
    Ok(())
}

/// The first words of a document, and the beginning of its id, so that no two have one name.
fn file_name(document: &MemoryDocument) -> String {
    const WORDS: usize = 6;
    let called = match document.title.is_empty() {
        true => &document.text,
        false => &document.title,
    };
    let words = called
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(WORDS);
    let mut words: Vec<String> = words
        .map(|word| word.chars().take(24).flat_map(char::to_lowercase).collect())
        .collect();
    words.push(short(&document.id).to_owned());
    words.join("-")
}

async fn import(
    context: &Context,
    memory: &dyn Memory,
    paths: &[PathBuf],
    mine: bool,
) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for path in paths {
        let found = std::fs::symlink_metadata(path)
            .with_context(|| format!("{} can't be read", path.display()))?;
        match found.is_dir() {
            true => walk(path, 0, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    let mut kept = 0;
    for path in &files {
        match read(path) {
            Err(why) => context.say(&format!("{} is left out: {why}", path.display())),
            Ok(text) => {
                let name = path
                    .file_stem()
                    .map(|name| name.to_string_lossy().into_owned());
                let source = std::path::absolute(path)?.display().to_string();
                let said = from_markdown(&text).map_err(|why| {
                    anyhow::anyhow!("{} is not understood: {why}", path.display())
                })?;
                let draft = match said {
                    Some(said) if mine => said,
                    // Whoever wrote the file wrote that too.
                    Some(said) => MemoryDraft {
                        origin: MemoryOrigin::Untrusted,
                        source: Some(source),
                        ..said
                    },
                    None => {
                        let read = from_text(text, &name.unwrap_or_default(), &source);
                        let origin = match mine {
                            true => MemoryOrigin::Person,
                            false => read.origin.clone(),
                        };
                        MemoryDraft { origin, ..read }
                    }
                };
                match memory.keep(draft).await {
                    Ok(_) => kept += 1,
                    Err(why) => context.say(&format!("{} is left out: {why}", path.display())),
                }
            }
        }
    }
    context.say(&format!("{kept} of {} files are kept", files.len()));
    Ok(())
}

/// The files of text in a folder, by name. No link is followed, and nothing that is hidden is gone into.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(&path, depth + 1, files)?;
        } else if kind.is_file() && is_text(&path) {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            bail!(
                "there are more than {FILES_MAX} files below {}; import folders of it one by one",
                folder.display()
            );
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        TEXT_ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// The text of a file: one that is a file itself, is not too large, and holds no key.
fn read(path: &Path) -> Result<String, String> {
    let found = std::fs::symlink_metadata(path).map_err(|why| why.to_string())?;
    if !found.is_file() {
        return Err("it is a link, or no file".to_owned());
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let is_secret = name.starts_with(".env")
        || name.starts_with("id_")
        || ["pem", "key", "p12", "pfx", "kdbx"]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")));
    if is_secret {
        return Err("it is called as files of keys are".to_owned());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|why| why.to_string())?;
    file.take(DOCUMENT_BYTES_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|why| why.to_string())?;
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Err("it holds a private key".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_read_is_told_with_who_read_it_and_how_sure_it_is() {
        let fact = MemoryFact {
            subject: "titan-web".into(),
            relation: "depends on".into(),
            object: "axum".into(),
        };
        let reading = MemoryReading {
            model: "local/small".into(),
            names: vec!["titan-web".into(), "axum".into()],
            relations: vec![fact.clone()],
        };
        assert_eq!(
            reading_words(&reading),
            "read by local/small: names titan-web, axum; titan-web — depends on — axum"
        );
        let nothing = MemoryReading {
            names: Vec::new(),
            relations: Vec::new(),
            ..reading
        };
        assert_eq!(reading_words(&nothing), "read by local/small: no names");
        let statement = MemoryStatement {
            fact,
            document: "0123456789abcdef".into(),
            model: "local/small".into(),
            confidence: 0.5,
        };
        assert_eq!(
            statement_words(&statement),
            "titan-web — depends on — axum  (0123456789, read by local/small, 50 % sure)"
        );
    }
}
