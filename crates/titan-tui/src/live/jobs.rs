//! The pane of what runs now, in all sessions: turns, and the calls and programs within them.

use super::key::Key;
use super::pane::{first_shown, moved};
use super::spinner;
use crate::render::job;
use crate::render::style::{Color, Line, Style};
use titan_protocol::{Job, SessionId, TurnId, UnixMillis};

/// The list is asked for again after this long, in milliseconds.
const INTERVAL_MS: UnixMillis = 1_000;

/// The turns that run.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// `None` before the first answer.
    jobs: Option<Vec<Job>>,
    chosen: usize,
    from: usize,
    /// When the list was last asked for, and whether that was answered.
    asked_at: UnixMillis,
    is_asking: bool,
    /// Turns that were told to stop.
    stopping: Vec<TurnId>,
    rows: usize,
    /// Which job each row belongs to, as it was drawn last.
    places: Vec<usize>,
}

/// What came of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Close,
    Show(SessionId),
    Stop(SessionId),
}

impl Jobs {
    /// A list that was asked for at this time.
    pub(super) fn asked(now: UnixMillis) -> Self {
        Self {
            asked_at: now,
            is_asking: true,
            ..Self::default()
        }
    }

    /// Whether it is time to ask again; then it counts as asked.
    pub(super) fn is_due(&mut self, now: UnixMillis) -> bool {
        let is_due = !self.is_asking && now.saturating_sub(self.asked_at) >= INTERVAL_MS;
        if is_due {
            (self.asked_at, self.is_asking) = (now, true);
        }
        is_due
    }

    /// The list came. What was chosen stays chosen.
    pub(super) fn told(&mut self, jobs: Vec<Job>) {
        let chosen = self.chosen().map(|job| job.turn);
        let at = chosen.and_then(|turn| jobs.iter().position(|job| job.turn == turn));
        self.chosen = at.unwrap_or(self.chosen.min(jobs.len().saturating_sub(1)));
        self.stopping
            .retain(|turn| jobs.iter().any(|job| job.turn == *turn));
        self.jobs = Some(jobs);
        self.is_asking = false;
    }

    /// There is an engine again.
    pub(super) fn connected(&mut self) {
        self.is_asking = false;
    }

    fn chosen(&self) -> Option<&Job> {
        self.jobs.as_ref()?.get(self.chosen)
    }

    pub(super) fn title(&self) -> String {
        match self.jobs.as_ref().map_or(0, Vec::len) {
            0 => "Running now".to_owned(),
            1 => "Running now · 1 turn".to_owned(),
            n => format!("Running now · {n} turns"),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self.chosen() {
            Some(_) => "Enter shows it · x stops it · Esc",
            None => "Esc",
        }
    }

    pub(super) fn key(&mut self, key: &Key, is_press: bool) -> Wish {
        let page = isize::try_from(self.rows.max(1)).unwrap_or(isize::MAX);
        match key {
            Key::Escape | Key::Char('q') | Key::Ctrl('c') => return Wish::Close,
            Key::Enter => {
                return self
                    .chosen()
                    .map_or(Wish::Nothing, |job| Wish::Show(job.session));
            }
            // Stopped by a key that was pressed, not by one that came with a paste.
            Key::Char('x') | Key::Delete if is_press => {
                let job = self.chosen().map(|job| (job.session, job.turn));
                if let Some((session, turn)) = job.filter(|(_, turn)| !self.stopping.contains(turn))
                {
                    self.stopping.push(turn);
                    return Wish::Stop(session);
                }
            }
            Key::Up | Key::RowUp => self.by(-1),
            Key::Down | Key::RowDown => self.by(1),
            Key::Wheel(rows) => self.by(isize::from(rows.signum())),
            Key::PageUp => self.by(-page),
            Key::PageDown | Key::Char(' ') => self.by(page),
            Key::Home | Key::First => self.by(isize::MIN / 2),
            Key::End | Key::Last => self.by(isize::MAX / 2),
            _ => {}
        }
        Wish::Nothing
    }

    fn by(&mut self, rows: isize) {
        let n_jobs = self.jobs.as_ref().map_or(0, Vec::len);
        self.chosen = moved(self.chosen, rows, n_jobs);
    }

    /// A row of the pane was clicked, counted from the first below its title.
    pub(super) fn click(&mut self, row: usize) -> Wish {
        match self.places.get(row) {
            Some(at) if *at == self.chosen => self.key(&Key::Enter, true),
            Some(at) => {
                self.chosen = *at;
                Wish::Nothing
            }
            None => Wish::Nothing,
        }
    }

    /// The rows below the title. Jobs are shown whole, from the one that lets the chosen one be in sight.
    pub(super) fn lines(
        &mut self,
        width: usize,
        rows: usize,
        now: UnixMillis,
        shown: SessionId,
    ) -> Vec<Line> {
        self.rows = rows;
        self.places.clear();
        let Some(jobs) = &self.jobs else {
            return vec![Line::dim("…")];
        };
        if jobs.is_empty() {
            let text = "no turn runs, in no session; /sessions lists what there is";
            return vec![Line::dim(text).cut(width)];
        }
        // As many as surely fit, so that the chosen one does.
        let rows_of_largest = jobs.iter().map(|job| 2 + job.calls.len().max(1)).max();
        let n_fit = rows / rows_of_largest.unwrap_or(1).max(1);
        self.from = first_shown(self.from, self.chosen, n_fit.max(1));
        let mut lines = Vec::new();
        for (idx, job) in jobs.iter().enumerate().skip(self.from) {
            let is_stopping = self.stopping.contains(&job.turn);
            let told = job_lines(job, idx == self.chosen, is_stopping, now, shown);
            self.places.extend(told.iter().map(|_| idx));
            lines.extend(told.iter().map(|line| line.cut(width)));
            if lines.len() >= rows {
                break;
            }
        }
        lines.truncate(rows);
        self.places.truncate(rows);
        lines
    }
}

fn job_lines(
    job: &Job,
    is_chosen: bool,
    is_stopping: bool,
    now: UnixMillis,
    shown: SessionId,
) -> Vec<Line> {
    let mark = if is_chosen { "▸ " } else { "  " };
    let mut lines = Vec::new();
    for (idx, told) in job::lines(job, now).into_iter().enumerate() {
        let mut line = match idx {
            0 => Line::default()
                .with(Style::BOLD, mark)
                .with(Style::color(Color::Cyan), format!("{} ", spinner(now))),
            _ => Line::default().with(Style::PLAIN, "      "),
        };
        for mut span in told.0 {
            span.style.bold |= idx == 0 && is_chosen;
            line.push(span);
        }
        if idx == 0 && job.session == shown {
            line = line.with(Style::DIM, " · shown here");
        }
        if idx == 0 && is_stopping {
            line = line.with(Style::color(Color::Yellow), " · is being stopped");
        }
        lines.push(line);
    }
    lines
}
