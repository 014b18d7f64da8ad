//! What was learned, as lines.

use super::style::{Line, Style};
use super::visible::visible;
use super::{moment, table};
use titan_protocol::{ReflexState, ReflexSummary};

/// What a reflex may do, in a word.
pub fn state(state: ReflexState) -> &'static str {
    match state {
        ReflexState::Shadow => "in shadow",
        ReflexState::Proposed => "proposed",
        ReflexState::Promoted => "answers",
        ReflexState::Demoted => "ended",
    }
}

/// A line each.
pub fn list(reflexes: &[ReflexSummary], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<String>> = reflexes
        .iter()
        .map(|reflex| {
            vec![
                reflex.name.clone(),
                state(reflex.state).to_owned(),
                reflex.hits.to_string(),
                reflex.wordings.first().cloned().unwrap_or_default(),
            ]
        })
        .collect();
    table::columns_of(&["name", "", "hits", "asked as"], &rows, width)
}

/// What a reflex does: its wordings and steps.
pub fn show(reflex: &ReflexSummary) -> Vec<Line> {
    let place = reflex
        .workspace
        .as_ref()
        .map_or("everywhere".to_owned(), |folder| {
            folder.display().to_string()
        });
    let mut lines = vec![
        format!(
            "{}, version {}: {}",
            reflex.name,
            reflex.version,
            state(reflex.state)
        ),
        format!("holds     {place}"),
    ];
    lines.extend(
        reflex
            .wordings
            .iter()
            .map(|wording| format!("asked as  {wording}")),
    );
    lines.extend(reflex.steps.iter().map(|step| format!("does      {step}")));
    if let Some(written) = &reflex.written {
        lines.push(format!("code by   {}", written.by));
        let code = written.source.trim_end().lines();
        let code = code.map(|line| format!("  {}", line.replace('\t', "    ")));
        lines.extend(code.map(|line| line.trim_end().to_owned()));
    }
    as_lines(&lines)
}

/// Why a reflex is what it is.
pub fn why(reflex: &ReflexSummary) -> Vec<Line> {
    let mut lines = vec![format!(
        "{}: {}, since {}",
        reflex.name,
        state(reflex.state),
        reflex.because
    )];
    lines.extend(
        reflex
            .written
            .iter()
            .map(|written| format!("code by     {}", written.by)),
    );
    let built = reflex.built_from.iter().enumerate();
    lines.extend(built.map(|(idx, (asked, at))| {
        let what = match &reflex.written {
            Some(written) if idx < written.shown => "shown",
            Some(_) => "held out",
            None => "built from",
        };
        format!("{what:<12}{} {asked}", moment(*at))
    }));
    lines.push(format!(
        "agreed      with {} turns that it was not built from",
        reflex.agreements
    ));
    lines.push(format!(
        "left        {} turns to the model",
        reflex.declined
    ));
    lines.extend(
        reflex
            .proof
            .iter()
            .map(|line| format!("proof       {line}")),
    );
    as_lines(&lines)
}

/// What all of them saved.
pub fn stats(reflexes: &[ReflexSummary]) -> Vec<Line> {
    let of = |state| {
        reflexes
            .iter()
            .filter(|reflex| !reflex.is_built_in && reflex.state == state)
            .count()
    };
    let hits: u32 = reflexes.iter().map(|reflex| reflex.hits).sum();
    let declined: u32 = reflexes.iter().map(|reflex| reflex.declined).sum();
    let saved_ms: u64 = reflexes.iter().map(|reflex| reflex.saved_ms).sum();
    as_lines(&[
        format!(
            "learned     {} answer, {} proposed, {} in shadow, {} ended",
            of(ReflexState::Promoted),
            of(ReflexState::Proposed),
            of(ReflexState::Shadow),
            of(ReflexState::Demoted)
        ),
        format!("answered    {hits} turns; {declined} more were left to the model on the way"),
        format!("saved       {} s of waiting for a model", saved_ms / 1000),
    ])
}

fn as_lines(lines: &[String]) -> Vec<Line> {
    lines
        .iter()
        .map(|line| Line::default().with(Style::PLAIN, visible(line)))
        .collect()
}
