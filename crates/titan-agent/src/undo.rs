//! Puts back what a turn changed in files, and says what it could not.
//!
//! What is intended is on the disk before the first file is touched, so an undo that was broken off is finished by
//! asking for it again: what is as it was already is left alone.

use crate::baseline::state_of;
use crate::checkpoint::KEPT_BYTES_MAX;
use crate::engine::Parts;
use crate::history::{History, Past, Touched};
use crate::log::Log;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use titan_protocol::{
    Blobs, Captured, ClientError, Effect, Event, FileState, SessionId, StorageError, TurnId,
    UndoOutcome, UndoneFile, Workbench,
};

/// Names that a model or a person is told in one line.
const NAMES_MAX: usize = 20;
/// Things besides files that are told one by one.
const BEYOND_MAX: usize = 20;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) undo: TurnId,
    pub(crate) of: Option<TurnId>,
    pub(crate) is_forced: bool,
}

/// One file, looked at before anything is touched.
enum Plan {
    Done(UndoOutcome),
    Restore { now: Captured, then: Captured },
}

/// Undoes a turn. No turn of the session runs meanwhile.
///
/// # Errors
/// `Refused` when there is nothing to undo, `Storage` when the store fails; the same request then finishes it.
pub(crate) async fn undo(
    session: SessionId,
    log: &Log,
    parts: &Parts,
    request: Request,
) -> Result<(), ClientError> {
    let history = History::read(log.journal(), session).await?;
    if history.find(request.undo).is_some_and(|past| !past.is_open) {
        return Ok(());
    }
    let Some(workspace) = &history.workspace else {
        return Err(ClientError::Refused(
            "Nothing was done in this session yet.".to_owned(),
        ));
    };
    let (target, undo) = target(&history, request)?;
    let workbench = (parts.open_workbench)(workspace)
        .map_err(|error| ClientError::Refused(error.to_string()))?;
    let workbench = workbench.as_ref();
    let mut plans = Vec::new();
    for (path, touched) in &target.files {
        let plan = plan(
            workbench,
            parts.blobs.as_ref(),
            path,
            touched,
            request.is_forced,
        )
        .await?;
        plans.push((path.clone(), plan));
    }
    intend(
        log,
        parts.blobs.as_ref(),
        target.id,
        undo,
        request.is_forced,
        &plans,
    )
    .await?;
    let mut files = Vec::new();
    for (path, plan) in in_order(plans) {
        let outcome = carry_out(log, workbench, undo, &path, plan).await?;
        files.push(UndoneFile { path, outcome });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let text = told_to_model(target, &files, workbench.root());
    let ended = Event::UndoEnded {
        of: target.id,
        beyond: beyond(target),
        files,
    };
    // The model is told with the person's next words.
    let instructed = Event::Instructed { text };
    log.append(Some(undo), vec![instructed, ended]).await?;
    Ok(log.journal().sync().await?)
}

/// What is undone, and under which id: one that was broken off goes on under its own.
fn target(history: &History, request: Request) -> Result<(&Past, TurnId), ClientError> {
    let refused = |text: &str| Err(ClientError::Refused(text.to_owned()));
    let broken_off = history
        .open()
        .filter(|open| request.of.is_none() || request.of == open.of);
    if let Some(open) = broken_off
        && let Some(target) = open.of.and_then(|of| history.find(of))
    {
        return Ok((target, open.id));
    }
    let target = match request.of {
        Some(of) => history.find(of),
        None => history.last_to_undo(),
    };
    match target {
        Some(target) if !target.files.is_empty() => Ok((target, request.undo)),
        Some(target) if !beyond(target).is_empty() => {
            let besides = beyond(target).join("; ");
            refused(&format!(
                "This turn changed no files. What it did can't be undone: {besides}."
            ))
        }
        Some(_) => refused("This turn changed no files, so there is nothing to undo."),
        None if request.of.is_some() && history.is_branch => refused(
            "There is no such turn in this branch. What it shares with the session that it came from is undone there.",
        ),
        None if request.of.is_some() => refused("There is no such turn in this session."),
        None => refused("No turn of this session changed files that are not put back already."),
    }
}

async fn plan(
    workbench: &dyn Workbench,
    blobs: &dyn Blobs,
    path: &Path,
    touched: &Touched,
    is_forced: bool,
) -> Result<Plan, StorageError> {
    let impossible = |why: String| Ok(Plan::Done(UndoOutcome::Impossible { why }));
    let refused = |why: &str| {
        let why = why.to_owned();
        Ok(Plan::Done(UndoOutcome::Refused { why }))
    };
    let now = match workbench.capture(path, KEPT_BYTES_MAX).await {
        Ok(now) => now,
        Err(error) => return impossible(error.to_string()),
    };
    let state = state_of(&now);
    if state.is_like(&touched.before) && modes_agree(&state, &touched.before) {
        return Ok(Plan::Done(UndoOutcome::Already));
    }
    let then = match &touched.before {
        FileState::Absent => Captured::Absent,
        FileState::Link { target } => Captured::Link {
            target: target.clone(),
        },
        FileState::NotKept { why } => {
            return impossible(format!("what was there was not kept: it was {why}"));
        }
        FileState::File { content, mode } => match blobs.get(content).await? {
            Some(content) => Captured::File {
                content,
                mode: *mode,
            },
            None => return impossible("its old content is not kept any more".to_owned()),
        },
    };
    match &now {
        // An empty folder may make room for a file; what else is there could not be put back again.
        Captured::Unheld { why, .. } if then == Captured::Absent || why != "a folder" => {
            impossible(format!(
                "what is there now is {why}, which could not be kept"
            ))
        }
        _ if !is_forced && touched.is_mixed => {
            refused("somebody else changed it too while the turn ran")
        }
        Captured::Unheld { .. } if touched.after == FileState::Absent => {
            Ok(Plan::Restore { now, then })
        }
        _ if !is_forced && !state.is_like(&touched.after) => refused("it was changed since"),
        _ => Ok(Plan::Restore { now, then }),
    }
}

/// Unknown permission bits agree with all.
fn modes_agree(a: &FileState, b: &FileState) -> bool {
    match (a, b) {
        (FileState::File { mode: Some(a), .. }, FileState::File { mode: Some(b), .. }) => a == b,
        _ => true,
    }
}

/// Writes down what is going to be done, with what it takes to undo it.
async fn intend(
    log: &Log,
    blobs: &dyn Blobs,
    of: TurnId,
    undo: TurnId,
    is_forced: bool,
    plans: &[(PathBuf, Plan)],
) -> Result<(), StorageError> {
    let mut events = vec![Event::UndoStarted { of, is_forced }];
    for (path, plan) in plans {
        let Plan::Restore { now, then } = plan else {
            continue;
        };
        if let Captured::File { content, .. } = now {
            blobs.put(content.clone()).await?;
        }
        let before = match now {
            Captured::Unheld { .. } => FileState::Absent,
            now => state_of(now),
        };
        events.push(Event::FileChanged {
            path: path.clone(),
            before,
            after: state_of(then),
        });
    }
    log.append(Some(undo), events).await?;
    log.journal().sync().await
}

/// What is to go first, the deepest first: a file may have to stand where now there is a folder.
fn in_order(plans: Vec<(PathBuf, Plan)>) -> Vec<(PathBuf, Plan)> {
    let removes = |plan: &Plan| {
        matches!(
            plan,
            Plan::Restore {
                then: Captured::Absent,
                ..
            }
        )
    };
    let (mut gone, rest): (Vec<_>, Vec<_>) = plans.into_iter().partition(|(_, plan)| removes(plan));
    gone.reverse();
    gone.extend(rest);
    gone
}

async fn carry_out(
    log: &Log,
    workbench: &dyn Workbench,
    undo: TurnId,
    path: &Path,
    plan: Plan,
) -> Result<UndoOutcome, StorageError> {
    let (now, then) = match plan {
        Plan::Done(outcome) => return Ok(outcome),
        Plan::Restore { now, then } => (now, then),
    };
    let Err(error) = workbench.restore(path, &then).await else {
        return Ok(match then {
            Captured::Absent => UndoOutcome::Removed,
            _ => UndoOutcome::Restored,
        });
    };
    // What was told did not happen.
    let took_back = Event::FileChanged {
        path: path.to_owned(),
        before: state_of(&then),
        after: state_of(&now),
    };
    log.append(Some(undo), vec![took_back]).await?;
    Ok(UndoOutcome::Impossible {
        why: error.to_string(),
    })
}

/// What the turn did that can't be put back, in words.
fn beyond(target: &Past) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut programs = BTreeSet::new();
    for effect in target.lasting() {
        match effect {
            Effect::Run {
                reads_only: true, ..
            } => {}
            Effect::Run { program, .. } => {
                let name = Path::new(program).file_name();
                let name = name.map(|name| name.to_string_lossy().into_owned());
                programs.insert(name.unwrap_or_else(|| program.clone()));
            }
            Effect::Network { host, port } => {
                told.insert(format!("requests to {host}:{port}"));
            }
            Effect::Message { recipient } => {
                told.insert(format!("a message to {recipient}"));
            }
            Effect::Money { recipient, .. } if recipient.is_empty() => {
                told.insert("a payment".to_owned());
            }
            Effect::Money { recipient, .. } => {
                told.insert(format!("a payment to {recipient}"));
            }
            Effect::Remember => {
                told.insert("a note that was remembered".to_owned());
            }
            // What was told as a change is put back, or its outcome says why not; what was not, nobody kept.
            Effect::Write { path, .. }
                if !target.files.keys().any(|file| file.starts_with(path)) =>
            {
                told.insert(format!("what was done to {}", path.display()));
            }
            Effect::Write { .. } | Effect::Read { .. } | Effect::Secret { .. } => {}
        }
    }
    if !programs.is_empty() {
        let names = programs.iter().map(String::as_str);
        told.insert(format!(
            "what these programs did in git's records, in files that git ignores and outside the workspace: {}",
            listed(names, programs.len())
        ));
    }
    let left_out = told.len().saturating_sub(BEYOND_MAX);
    let mut told: Vec<String> = told.into_iter().take(BEYOND_MAX).collect();
    if left_out > 0 {
        told.push(format!("and {left_out} more"));
    }
    told
}

/// What the model has to know: the files are not as it left them.
fn told_to_model(target: &Past, files: &[UndoneFile], root: &Path) -> String {
    let named = |is_meant: fn(&UndoOutcome) -> bool| {
        let names: Vec<String> = files
            .iter()
            .filter(|file| is_meant(&file.outcome))
            .map(|file| format!("{:?}", file.path.strip_prefix(root).unwrap_or(&file.path)))
            .collect();
        (!names.is_empty()).then(|| listed(names.iter().map(String::as_str), names.len()))
    };
    let back = named(|outcome| {
        matches!(
            outcome,
            UndoOutcome::Restored | UndoOutcome::Removed | UndoOutcome::Already
        )
    });
    let left = named(|outcome| {
        matches!(
            outcome,
            UndoOutcome::Refused { .. } | UndoOutcome::Impossible { .. }
        )
    });
    let what = match target.of {
        Some(_) => "an undo",
        None => "one of the turns above",
    };
    let mut text = format!("The person undid what {what} changed in files.");
    if let Some(names) = back {
        text.push_str(&format!(
            " These are again as they were before it: {names}."
        ));
    }
    if let Some(names) = left {
        text.push_str(&format!(" These were left as they are: {names}."));
    }
    text.push_str(
        " Read a file again before you rely on it, and do not redo the change unless asked.",
    );
    text
}

fn listed<'a>(names: impl Iterator<Item = &'a str>, n_names: usize) -> String {
    let names: Vec<&str> = names.take(NAMES_MAX).collect();
    let more = match n_names.saturating_sub(NAMES_MAX) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    names.join(", ") + &more
}
