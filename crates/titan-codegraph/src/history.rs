//! Who wrote a file, when and why: the port [`History`] on the program `git`.
//!
//! Git is the judge of its own formats and of what a rename is; a library would be a second one. It runs on a workbench, so
//! it is confined as every program is, and so that a repository runs nothing with it (`git.rs`). What it says is read by
//! pure functions (`parse.rs`, `message.rs`).

mod git;
mod lines;
mod message;
mod parse;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use git::{Bound, Git, Said, failed};
pub(crate) use message::clean;
use parse::Blame;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use titan_protocol::{
    COMMITS_MAX, Commit, FileHistory, History, HistoryError, HistoryQuestion, Workbench,
    WrittenLines,
};

const LOG: Bound = Bound {
    wall_clock_max: Duration::from_secs(15),
    output_bytes_max: 8 << 20,
};
const BLAME: Bound = Bound {
    wall_clock_max: Duration::from_secs(15),
    output_bytes_max: 8 << 20,
};
const CONTENT: Bound = Bound {
    wall_clock_max: Duration::from_secs(5),
    output_bytes_max: FILE_BYTES_MAX,
};
/// Larger files are not compared with what is committed, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How long two states of a file are compared.
const COMPARING_MAX: Duration = Duration::from_secs(2);
/// Rows of lines that one answer tells.
const SPANS_MAX: usize = 200;

/// Histories as git knows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct GitHistory;

#[async_trait]
impl History for GitHistory {
    async fn of_file(
        &self,
        workbench: &dyn Workbench,
        question: HistoryQuestion,
    ) -> Result<FileHistory, HistoryError> {
        let git = Git::of(workbench, &question.path).await?;
        let commits_max = question.commits_max.clamp(1, COMMITS_MAX);
        let (log, blame) = futures::join!(log(&git, commits_max), blame(&git));
        let (mut history, blame) = (log?, blame?);
        match &blame {
            Ok(blame) => history.owners = blame.owners(),
            // Of what no commit has, nobody wrote a committed line.
            Err(gap) if !history.commits.is_empty() => history.gaps.push(gap.clone()),
            Err(_) => {}
        }
        if let Some((first, last)) = question.lines {
            let written = written(
                workbench,
                &git,
                &question,
                blame.unwrap_or_default(),
                (first, last),
            );
            match written.await? {
                Ok(spans) => tell_lines(&git, &mut history, spans).await?,
                Err(gap) => history.gaps.push(gap),
            }
        }
        Ok(history)
    }
}

/// The commits that touched the file.
async fn log(git: &Git<'_>, commits_max: usize) -> Result<FileHistory, HistoryError> {
    let limit = format!("-n{}", commits_max + 1);
    let said = git
        .run(
            &[
                "log",
                "--follow",
                "-M",
                &limit,
                "-z",
                "--name-status",
                "--no-ext-diff",
                "--no-textconv",
                "--no-color",
                "--no-notes",
                "--no-relative",
                "-O/dev/null",
                parse::FORMAT,
                "HEAD",
                "--",
                &git.name,
            ],
            LOG,
        )
        .await?;
    if !said.is_well() && !said.is_cut() {
        return match no_history(&said, git) {
            Some(error) => Err(error),
            None => Ok(FileHistory {
                is_whole: true,
                ..FileHistory::default()
            }),
        };
    }
    let mut commits = parse::log(&said.output, said.is_cut());
    let is_whole = !said.is_cut() && commits.len() <= commits_max;
    commits.truncate(commits_max);
    let gaps = said.is_cut().then(|| {
        "the log took too long or too much room; the oldest commits are left out".to_owned()
    });
    Ok(FileHistory {
        commits,
        is_whole,
        gaps: gaps.into_iter().collect(),
        ..FileHistory::default()
    })
}

/// Why git told nothing; `None` where there is just nothing to tell yet.
fn no_history(said: &Said, git: &Git<'_>) -> Option<HistoryError> {
    let complaint = &said.complaint;
    if complaint.contains("not a git repository") {
        let path = message::clean_line(&git.name);
        return Some(HistoryError::NoRepository { path });
    }
    let has_no_commit = [
        "does not have any commits",
        "bad revision 'HEAD'",
        "ambiguous argument 'HEAD'",
    ]
    .iter()
    .any(|words| complaint.contains(words));
    (!has_no_commit)
        .then(|| HistoryError::Failed(format!("git can't tell the history: {complaint}")))
}

/// Who wrote which lines of the newest commit's file, or why that is not known.
async fn blame(git: &Git<'_>) -> Result<Result<Blame, String>, HistoryError> {
    let said = git
        .run(
            &[
                "blame",
                "--incremental",
                "-w",
                "--no-textconv",
                "--no-color-lines",
                "--no-color-by-age",
                "--ignore-revs-file=",
                "HEAD",
                "--",
                &git.name,
            ],
            BLAME,
        )
        .await?;
    Ok(if said.is_well() {
        Ok(parse::blame(&said.output))
    } else if said.is_cut() {
        Err("who wrote which lines took too long to find out".to_owned())
    } else {
        Err(format!(
            "who wrote which lines is not known: {}",
            said.complaint
        ))
    })
}

type Spans = Vec<(u32, u32, Option<String>)>;

/// The lines that were asked about, in rows of one commit; or why that is not known.
async fn written(
    workbench: &dyn Workbench,
    git: &Git<'_>,
    question: &HistoryQuestion,
    blame: Blame,
    (first, last): (u32, u32),
) -> Result<Result<Spans, String>, HistoryError> {
    let size = workbench.metadata(&question.path).await.map_err(failed)?;
    match size {
        None => {
            return Ok(Err(
                "the file is not there now, so it has no lines to tell of".to_owned(),
            ));
        }
        Some(size) if size.bytes > FILE_BYTES_MAX => {
            return Ok(Err(format!(
                "the file has more than {FILE_BYTES_MAX} bytes; its lines are not told"
            )));
        }
        Some(_) => {}
    }
    let now = workbench
        .read(&question.path, 0, FILE_BYTES_MAX)
        .await
        .map_err(failed)?;
    let committed = git
        .run(
            &["cat-file", "blob", &format!("HEAD:./{}", git.name)],
            CONTENT,
        )
        .await?;
    let before = if committed.is_well() {
        committed.output
    } else {
        Vec::new()
    };
    let origins = lines::origins(&before, &now, Instant::now() + COMPARING_MAX);
    let mut spans: Spans = Vec::new();
    for line in first.max(1)..=last {
        let Some(origin) = origins.get(line as usize - 1) else {
            break;
        };
        let hash = origin
            .and_then(|origin| blame.of_line(origin))
            .map(str::to_owned);
        let is_full = spans.len() == SPANS_MAX;
        match spans.last_mut() {
            Some((_, last, of)) if *of == hash => *last = line,
            _ if is_full => break,
            _ => spans.push((line, line, hash)),
        }
    }
    if spans.is_empty() {
        let count = origins.len();
        return Ok(Err(format!(
            "the file has {count} lines; there is no line {first}"
        )));
    }
    Ok(Ok(spans))
}

/// Puts the commits of lines beside them; those that are older than the history that was asked for are asked for again.
async fn tell_lines(
    git: &Git<'_>,
    history: &mut FileHistory,
    spans: Spans,
) -> Result<(), HistoryError> {
    let mut known: HashMap<&str, &Commit> = history
        .commits
        .iter()
        .map(|commit| (commit.hash.as_str(), commit))
        .collect();
    let missing: BTreeSet<&str> = spans
        .iter()
        .filter_map(|(_, _, hash)| hash.as_deref())
        .filter(|hash| !known.contains_key(hash))
        .collect();
    let mut older = Vec::new();
    if !missing.is_empty() {
        let mut arguments = vec![
            "log",
            "--no-walk=unsorted",
            "-z",
            "--no-color",
            "--no-notes",
            parse::FORMAT,
        ];
        arguments.extend(missing);
        arguments.push("--");
        let said = git.run(&arguments, LOG).await?;
        older = parse::log(&said.output, said.is_cut());
    }
    known.extend(older.iter().map(|commit| (commit.hash.as_str(), commit)));
    let lines = spans
        .iter()
        .map(|(first, last, hash)| WrittenLines {
            first: *first,
            last: *last,
            commit: hash.as_deref().map(|hash| {
                known.get(hash).copied().cloned().unwrap_or_else(|| Commit {
                    hash: hash.to_owned(),
                    ..Commit::default()
                })
            }),
        })
        .collect();
    history.lines = lines;
    Ok(())
}
