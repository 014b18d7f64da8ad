//! Session lists and costs: projections of each session's records, kept as one small value per session.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use titan_protocol::{
    Change, CostLine, Event, Record, Records, SessionId, SessionSummary, SharedPast, StorageError,
    UnixMillis, Usage,
};

const TABLE: &str = "sessions";
/// A title made from what was said first.
const TITLE_CHARS_MAX: usize = 80;
/// A session that could have no title after its first turn may have one after a later one, up to this.
const TITLE_TURNS_MAX: u32 = 3;
/// Sessions that are read at one time.
const SCAN_MAX: usize = 1000;

/// What is kept of a session. Days are counted from the Unix epoch, UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SummaryState {
    title: Option<String>,
    first_words: String,
    workspace: PathBuf,
    started_at: UnixMillis,
    active_at: UnixMillis,
    turns: u32,
    pub(crate) is_running: bool,
    costs: BTreeMap<String, (u32, Usage)>,
    /// What it shares, if it is a branch. All else here is its own alone, so that nothing is counted twice.
    #[serde(default)]
    pub(crate) past: Vec<SharedPast>,
    /// The model of the turn's call, and of a call beside it.
    #[serde(skip)]
    models: [String; 2],
}

impl SummaryState {
    /// Takes one record in.
    pub(crate) fn apply(&mut self, record: &Record) {
        self.active_at = record.at;
        match &record.event {
            Event::SessionStarted { workspace } => {
                self.workspace.clone_from(workspace);
                self.started_at = record.at;
            }
            Event::SessionBranched { workspace, past } => {
                self.workspace.clone_from(workspace);
                self.started_at = record.at;
                self.past.clone_from(past);
            }
            Event::SessionTitled { title } => self.title = Some(title.clone()),
            Event::TurnStarted { text } => {
                self.turns += 1;
                self.is_running = true;
                if self.first_words.is_empty() {
                    self.first_words = beginning(text);
                }
            }
            Event::ModelCallStarted {
                provider, model, ..
            } => self.models[beside(record)] = format!("{provider}/{model}"),
            Event::ModelCallEnded { usage, .. } => self.count(record, *usage),
            Event::TurnEnded { .. } => self.is_running = false,
            _ => {}
        }
    }

    fn count(&mut self, record: &Record, usage: Usage) {
        let model = &self.models[beside(record)];
        let key = format!("{} {model}", record.at / 86_400_000);
        let (calls, sum) = self.costs.entry(key).or_default();
        *calls += 1;
        *sum = sum.plus(usage);
    }

    /// Whether it has no title yet and is young enough that its first words still name its subject.
    pub(crate) fn wants_title(&self) -> bool {
        self.title.is_none() && self.turns <= TITLE_TURNS_MAX
    }

    /// What was said first, shortened.
    pub(crate) fn first_words(&self) -> &str {
        &self.first_words
    }

    /// All its model calls together.
    pub(crate) fn usage(&self) -> Usage {
        self.costs
            .values()
            .fold(Usage::default(), |sum, (_, usage)| sum.plus(*usage))
    }

    /// Its title, or what was said first.
    pub(crate) fn name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.first_words)
    }

    /// Where its tools work.
    pub(crate) fn workspace(&self) -> &Path {
        &self.workspace
    }

    fn summary(&self, session: SessionId) -> SessionSummary {
        SessionSummary {
            session,
            title: self.name().to_owned(),
            workspace: self.workspace.clone(),
            started_at: self.started_at,
            active_at: self.active_at,
            turns: self.turns,
            is_running: self.is_running,
            usage: self.usage(),
            branch_of: self.past.last().copied(),
        }
    }
}

/// Which of the two calls that may run at once a record tells of: 0 the turn's, 1 one beside it, as for a title.
fn beside(record: &Record) -> usize {
    usize::from(record.turn.is_none())
}

fn beginning(text: &str) -> String {
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim();
    match line.char_indices().nth(TITLE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Stores a session's summary.
pub(crate) async fn store(
    records: &dyn Records,
    session: SessionId,
    state: &SummaryState,
) -> Result<(), StorageError> {
    let value =
        serde_json::to_vec(state).map_err(|error| StorageError::Failed(error.to_string()))?;
    records
        .commit(vec![change(session, Some(value.into()))])
        .await
}

/// Removes a session from the lists.
pub(crate) async fn remove(records: &dyn Records, session: SessionId) -> Result<(), StorageError> {
    records.commit(vec![change(session, None)]).await
}

fn change(session: SessionId, value: Option<Bytes>) -> Change {
    Change {
        table: TABLE.to_owned(),
        key: session.to_string(),
        value,
        expected_version: None,
    }
}

/// All sessions, in the order of their ids, which is the order of their beginnings.
pub(crate) async fn load(
    records: &dyn Records,
) -> Result<Vec<(SessionId, SummaryState)>, StorageError> {
    let mut sessions = Vec::new();
    let mut after = String::new();
    loop {
        let page = records.scan(TABLE, "", &after, SCAN_MAX).await?;
        for (key, versioned) in &page {
            let state = serde_json::from_slice(&versioned.value);
            match (key.parse(), state) {
                (Ok(session), Ok(state)) => sessions.push((session, state)),
                _ => tracing::warn!(
                    key,
                    "a session's summary can't be read; the session itself is in the journal"
                ),
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == SCAN_MAX => after.clone_from(key),
            _ => return Ok(sessions),
        }
    }
}

/// The newest sessions first. A branch in which nothing was said yet has its origin's name, which is looked up here and
/// kept nowhere, so that it goes with the origin.
pub(crate) fn newest(sessions: &[(SessionId, SummaryState)], limit: usize) -> Vec<SessionSummary> {
    let mut summaries: Vec<SessionSummary> = sessions
        .iter()
        .map(|(session, state)| state.summary(*session))
        .collect();
    summaries.sort_by_key(|summary| std::cmp::Reverse((summary.active_at, summary.session)));
    summaries.truncate(limit);
    let states: HashMap<SessionId, &SummaryState> =
        sessions.iter().map(|(id, state)| (*id, state)).collect();
    for summary in summaries.iter_mut().filter(|it| it.title.is_empty()) {
        let past = states[&summary.session].past.iter().rev();
        let named = past
            .filter_map(|shared| states.get(&shared.session))
            .map(|origin| origin.name())
            .find(|name| !name.is_empty());
        summary.title = named.unwrap_or_default().to_owned();
    }
    summaries
}

/// Usage by day and model, oldest day first, from the day that `since` falls on.
pub(crate) fn costs(sessions: &[(SessionId, SummaryState)], since: UnixMillis) -> Vec<CostLine> {
    let first_day = since / 86_400_000;
    let mut sums: BTreeMap<(u64, String), (u32, Usage)> = BTreeMap::new();
    for (key, (calls, usage)) in sessions.iter().flat_map(|(_, state)| &state.costs) {
        let Some((day, model)) = key.split_once(' ') else {
            continue;
        };
        let Ok(day) = day.parse::<u64>() else {
            continue;
        };
        if day >= first_day {
            let sum = sums.entry((day, model.to_owned())).or_default();
            *sum = (sum.0 + calls, sum.1.plus(*usage));
        }
    }
    sums.into_iter()
        .map(|((day, model), (calls, usage))| {
            let (provider, model) = model.split_once('/').unwrap_or(("", &model));
            CostLine {
                day: date(day),
                provider: provider.to_owned(),
                model: model.to_owned(),
                calls,
                usage,
            }
        })
        .collect()
}

/// The date of a day counted from the Unix epoch, as `YYYY-MM-DD`. Howard Hinnant's `civil_from_days`.
pub(crate) fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn a_title_is_the_first_line_that_says_something() {
        assert_eq!(beginning("\n  fix the build  \nplease"), "fix the build");
        assert_eq!(
            beginning(&"é".repeat(100)).chars().count(),
            TITLE_CHARS_MAX + 1
        );
    }
}
