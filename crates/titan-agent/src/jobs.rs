//! What runs now, in all sessions that are in memory: a session whose turn runs always is.

use crate::log::Log;
use serde_json::{Map, Value};
use std::sync::Arc;
use titan_protocol::{
    CallId, Event, JOB_CALLS_MAX, JOB_LINE_CHARS_MAX, JOBS_MAX, Job, JobCall, JobStage, Record,
    TurnId, UnixMillis,
};

/// The turn of a session that runs now, made from its records.
#[derive(Debug, Default)]
pub(crate) struct Running(Option<Turn>);

#[derive(Debug)]
struct Turn {
    id: TurnId,
    text: String,
    started_at: UnixMillis,
    calls: Vec<JobCall>,
}

impl Running {
    /// Takes one record in.
    pub(crate) fn apply(&mut self, record: &Record) {
        if let (Event::TurnStarted { text }, Some(id)) = (&record.event, record.turn) {
            self.0 = Some(Turn {
                id,
                text: line(text),
                started_at: record.at,
                calls: Vec::new(),
            });
            return;
        }
        let Some(turn) = &mut self.0 else { return };
        match &record.event {
            Event::TurnEnded { .. } => self.0 = None,
            // A reply that broke is begun anew, and so are the calls that it was writing.
            Event::ContextAssembled { .. } => {
                turn.calls.retain(|call| call.stage != JobStage::Written);
            }
            Event::ToolCallStarted { call, name } => {
                turn.begin(call, name, record.at);
            }
            Event::ToolCallReady { call, .. } => {
                if let Some(open) = turn.begin(&call.id, &call.name, record.at) {
                    open.about = about(&call.arguments);
                    // A person may be asked about it while it is written.
                    if open.stage == JobStage::Written {
                        open.stage = JobStage::Running;
                    }
                }
            }
            Event::ApprovalRequested { call, .. } => {
                if let Some(open) = turn.begin(&call.id, &call.name, record.at) {
                    open.about = about(&call.arguments);
                    open.stage = JobStage::Asked;
                }
            }
            Event::ApprovalDecided { .. } => {
                // Approvals are told one after the other: what waited goes on, or ends.
                let asked = turn.calls.iter_mut();
                asked
                    .filter(|call| call.stage == JobStage::Asked)
                    .for_each(|call| call.stage = JobStage::Running);
            }
            Event::ToolCallEnded { call, .. } => turn.calls.retain(|open| open.call != *call),
            _ => {}
        }
    }

    fn job(&self, log: &Log, title: &str, workspace: &std::path::Path) -> Option<Job> {
        let turn = self.0.as_ref()?;
        let title = match title.is_empty() {
            true => &turn.text,
            false => title,
        };
        Some(Job {
            session: log.session(),
            turn: turn.id,
            title: title.to_owned(),
            text: turn.text.clone(),
            workspace: workspace.to_owned(),
            started_at: turn.started_at,
            calls: turn.calls.iter().take(JOB_CALLS_MAX).cloned().collect(),
        })
    }
}

impl Turn {
    /// The call, which begins here if it has not; `None` when no more are counted.
    fn begin(&mut self, id: &CallId, tool: &str, at: UnixMillis) -> Option<&mut JobCall> {
        let known = self.calls.iter().position(|call| call.call == *id);
        if known.is_none() && self.calls.len() < CALLS_COUNTED_MAX {
            self.calls.push(JobCall {
                call: id.clone(),
                tool: tool.to_owned(),
                about: String::new(),
                started_at: at,
                stage: JobStage::Written,
            });
        }
        let at = known.unwrap_or(self.calls.len().saturating_sub(1));
        self.calls.get_mut(at).filter(|call| call.call == *id)
    }
}

/// Open calls of a turn that are remembered. Those beyond it run as well and are told when others have ended.
const CALLS_COUNTED_MAX: usize = 64;

/// The turns that run in these sessions, those that began first come first.
pub(crate) async fn running(logs: &[Arc<Log>]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for log in logs {
        let job = log.read(|state| {
            let summary = &state.summary;
            state.running.job(log, summary.name(), summary.workspace())
        });
        jobs.extend(job.await);
    }
    jobs.sort_by_key(|job| (job.started_at, job.turn));
    jobs.truncate(JOBS_MAX);
    jobs
}

/// The first text among the arguments, in a line.
fn about(arguments: &Map<String, Value>) -> String {
    let texts = arguments.values().filter_map(Value::as_str);
    texts
        .map(line)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

/// The first line that says something, cut.
fn line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or_default()
        .chars()
        .take(JOB_LINE_CHARS_MAX)
        .collect()
}
