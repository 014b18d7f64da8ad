//! What takes the conversation's place for a while: sessions, changes, costs, what is remembered, what runs, the keys.

use super::conversation::short;
use super::jobs::{self, Jobs};
use super::key::Key;
use super::notes::{self, Notes};
use crate::command;
use crate::render::style::{Color, Line, Style};
use crate::render::table::{self, columns_of};
use crate::render::undo;
use crate::render::{branch_mark, moment, money, usage};
use std::path::Path;
use titan_protocol::{
    CostLine, Job, MemoryDocument, SessionId, SessionSummary, TurnChanges, TurnId, UnixMillis,
    Usage,
};

const KEYS: &str = "\
Enter              say it; while the model works, it steers it
Alt-Enter          another line (also Shift-Enter, Ctrl-J, or \\ at the end)
Up, Down           what was typed before
Tab                complete a command or a path after @
Ctrl-C             stop the turn; twice at rest leaves
Ctrl-P             everything that can be done
Ctrl-F             search the conversation
Ctrl-G             go back to an earlier turn, and on from there
Ctrl-O, click      open or fold a call
Ctrl-T             open or fold the model's thinking
Ctrl-Y             copy the last answer
PgUp, PgDn, wheel  look back; Esc or Ctrl-End goes to the end
Shift-Up, -Down    by a row
Ctrl-L             draw the screen anew
Ctrl-D             leave, when nothing is typed

A request to run something is answered with o (once), s (for this session),
e (whenever it is exactly this) or d (deny), when you have seen it to its end.
Hold Shift to select text with the mouse.
";

/// A pane, and from where on it is shown.
#[derive(Debug)]
pub(super) struct Pane {
    title: String,
    body: Body,
    scroll: usize,
    /// Columns and rows that were drawn last.
    width: usize,
    pub(super) rows: usize,
    /// Row and column of the cursor below the title, where something is typed.
    pub(super) cursor: Option<(usize, usize)>,
}

#[derive(Debug)]
enum Body {
    Waiting,
    Lines(Vec<Line>),
    Sessions {
        sessions: Vec<SessionSummary>,
        chosen: usize,
    },
    /// Turns by what was said, oldest first.
    Turns {
        turns: Vec<(TurnId, String)>,
        chosen: usize,
    },
    Notes(Box<Notes>),
    Jobs(Jobs),
}

/// What came of a key.
#[derive(Debug, PartialEq)]
pub(super) enum Picked {
    Nothing,
    Closed,
    Session(SessionId),
    Turn(TurnId),
    New,
    /// A turn of this session is to be stopped; the pane stays.
    Stop(SessionId),
    /// Something about the notes; the pane stays.
    Notes(notes::Wish),
}

impl Pane {
    fn new(title: impl Into<String>, body: Body) -> Self {
        Self {
            title: title.into(),
            body,
            scroll: 0,
            width: 0,
            rows: 0,
            cursor: None,
        }
    }

    /// What is remembered, of which what holds these words was asked for.
    pub(super) fn notes(words: String) -> Self {
        Self::new("", Body::Notes(Box::new(Notes::new(words))))
    }

    /// What runs, which was asked for at this time.
    pub(super) fn jobs(now: UnixMillis) -> Self {
        Self::new("", Body::Jobs(Jobs::asked(now)))
    }

    /// The notes came that were asked for, if this is where they belong.
    pub(super) fn found(
        &mut self,
        words: String,
        documents: Vec<MemoryDocument>,
        kept: Option<&str>,
    ) {
        if let Body::Notes(notes) = &mut self.body {
            notes.found(words, documents, kept);
        }
    }

    /// Something about the notes could not be done; false if they are not here.
    pub(super) fn notes_failed(&mut self, why: &str) -> bool {
        let Body::Notes(notes) = &mut self.body else {
            return false;
        };
        notes.failed(why);
        true
    }

    /// What runs came, if this is where it belongs.
    pub(super) fn running(&mut self, running: Vec<Job>) {
        if let Body::Jobs(jobs) = &mut self.body {
            jobs.told(running);
        }
    }

    /// There is an engine again.
    pub(super) fn connected(&mut self) {
        if let Body::Jobs(jobs) = &mut self.body {
            jobs.connected();
        }
    }

    /// Whether times run in it.
    pub(super) fn is_moving(&self) -> bool {
        matches!(self.body, Body::Jobs(_))
    }

    /// Whether what runs is to be asked for again; then it counts as asked.
    pub(super) fn is_due(&mut self, now: UnixMillis) -> bool {
        match &mut self.body {
            Body::Jobs(jobs) => jobs.is_due(now),
            _ => false,
        }
    }

    /// A pane whose content was asked for.
    pub(super) fn waiting(title: &str) -> Self {
        Self::new(title, Body::Waiting)
    }

    pub(super) fn help() -> Self {
        let text = format!("{KEYS}\n{}", command::help());
        let lines = text
            .lines()
            .map(|line| Line::default().with(Style::PLAIN, line));
        Self::new("Keys and commands", Body::Lines(lines.collect()))
    }

    pub(super) fn changes(changes: &TurnChanges, root: &Path) -> Self {
        let title = match changes.files.len() {
            1 => "1 file changed".to_owned(),
            n => format!("{n} files changed"),
        };
        Self::new(title, Body::Lines(undo::changes(changes, root)))
    }

    pub(super) fn sessions(sessions: Vec<SessionSummary>, current: SessionId) -> Self {
        let is_current = |session: &SessionSummary| session.session == current;
        let chosen = sessions.iter().position(is_current).unwrap_or(0);
        Self::new("Sessions", Body::Sessions { sessions, chosen })
    }

    /// The turns to go back to, none of which may be missing; the last is chosen first.
    pub(super) fn turns(turns: Vec<(TurnId, String)>) -> Self {
        let chosen = turns.len().saturating_sub(1);
        Self::new("Go on after which turn?", Body::Turns { turns, chosen })
    }

    pub(super) fn costs(costs: &[CostLine], session: &Usage) -> Self {
        let mut lines = vec![
            Line::default()
                .with(Style::BOLD, "this session  ")
                .with(Style::PLAIN, usage(session)),
            Line::default(),
        ];
        match table::costs(costs, None) {
            rows if rows.is_empty() => {
                lines.push(Line::dim("no model was called in the last 30 days"));
            }
            rows => lines.extend(rows),
        }
        Self::new("Cost, last 30 days", Body::Lines(lines))
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.body, Body::Waiting)
    }

    /// Takes a key; `is_press`: it was pressed by itself and came with no others.
    pub(super) fn key(&mut self, key: &Key, is_press: bool) -> Picked {
        match &mut self.body {
            Body::Notes(notes) => return noted(notes.key(key, is_press, self.width)),
            Body::Jobs(jobs) => return job_picked(jobs.key(key, is_press)),
            Body::Waiting | Body::Lines(_) | Body::Sessions { .. } | Body::Turns { .. } => {}
        }
        let page = isize::try_from(self.rows.max(1)).unwrap_or(isize::MAX);
        match key {
            Key::Escape | Key::Char('q') | Key::Ctrl('c') => return Picked::Closed,
            Key::Enter => return self.entered(),
            Key::Char('n') if matches!(self.body, Body::Sessions { .. }) => return Picked::New,
            Key::Up | Key::RowUp => self.by(-1),
            Key::Down | Key::RowDown => self.by(1),
            Key::Wheel(rows) => self.by(isize::from(*rows)),
            Key::PageUp => self.by(-page),
            Key::PageDown | Key::Char(' ') => self.by(page),
            Key::Home | Key::First => self.by(isize::MIN / 2),
            Key::End | Key::Last => self.by(isize::MAX / 2),
            _ => {}
        }
        Picked::Nothing
    }

    /// A row of the pane was clicked, counted from the first below its title.
    pub(super) fn click(&mut self, row: usize) -> Picked {
        match &mut self.body {
            // The first row names the columns.
            Body::Sessions { .. } if row > 0 => self.clicked(self.scroll + row - 1),
            Body::Turns { .. } => self.clicked(self.scroll + row),
            Body::Notes(notes) => noted(notes.click(row)),
            Body::Jobs(jobs) => job_picked(jobs.click(row)),
            _ => Picked::Nothing,
        }
    }

    /// An entry of a list was clicked: it is chosen, and picked if it was chosen before.
    fn clicked(&mut self, clicked: usize) -> Picked {
        let (n_entries, chosen) = match &mut self.body {
            Body::Sessions { sessions, chosen } => (sessions.len(), chosen),
            Body::Turns { turns, chosen } => (turns.len(), chosen),
            _ => return Picked::Nothing,
        };
        match clicked < n_entries {
            true if clicked == *chosen => self.entered(),
            true => {
                *chosen = clicked;
                Picked::Nothing
            }
            false => Picked::Nothing,
        }
    }

    fn entered(&self) -> Picked {
        match &self.body {
            Body::Sessions { sessions, chosen } => sessions
                .get(*chosen)
                .map_or(Picked::Closed, |session| Picked::Session(session.session)),
            Body::Turns { turns, chosen } => turns
                .get(*chosen)
                .map_or(Picked::Closed, |(turn, _)| Picked::Turn(*turn)),
            _ => Picked::Closed,
        }
    }

    fn by(&mut self, rows: isize) {
        match &mut self.body {
            Body::Sessions { sessions, chosen } => {
                *chosen = moved(*chosen, rows, sessions.len());
            }
            Body::Turns { turns, chosen } => *chosen = moved(*chosen, rows, turns.len()),
            Body::Lines(lines) => {
                let last = lines.len().saturating_sub(self.rows.max(1));
                self.scroll = self.scroll.saturating_add_signed(rows).min(last);
            }
            Body::Waiting | Body::Notes(_) | Body::Jobs(_) => {}
        }
    }

    /// The title with what can be pressed.
    pub(super) fn title(&self, width: usize) -> Line {
        let hint = match &self.body {
            Body::Notes(notes) => notes.hint(),
            Body::Jobs(jobs) => jobs.hint(),
            Body::Sessions { .. } => "Enter opens · n new · Esc",
            Body::Turns { .. } => "Enter goes on from there · Esc",
            Body::Lines(lines) if lines.len() > self.rows => "arrows, PgDn · Esc",
            Body::Lines(_) | Body::Waiting => "Esc",
        };
        let title = Style {
            bold: true,
            ..Style::color(Color::Magenta)
        };
        let text = match &self.body {
            Body::Notes(notes) => notes.title(),
            Body::Jobs(jobs) => jobs.title(),
            _ => self.title.clone(),
        };
        // What can be pressed is the more useful of the two.
        let room = width.saturating_sub(hint.chars().count() + 1);
        let line = Line::default().with(title, text).cut(room);
        let space = width.saturating_sub(line.width() + hint.chars().count());
        line.with(Style::PLAIN, " ".repeat(space.max(1)))
            .with(Style::DIM, hint)
            .cut(width)
    }

    /// The rows below the title.
    pub(super) fn lines(
        &mut self,
        width: usize,
        rows: usize,
        now: UnixMillis,
        shown: SessionId,
    ) -> Vec<Line> {
        (self.width, self.rows, self.cursor) = (width, rows, None);
        match &mut self.body {
            Body::Notes(notes) => {
                let (lines, cursor) = notes.lines(width, rows);
                self.cursor = cursor;
                lines
            }
            Body::Jobs(jobs) => jobs.lines(width, rows, now, shown),
            Body::Waiting => vec![Line::dim("…")],
            Body::Lines(lines) => {
                let from = self.scroll.min(lines.len().saturating_sub(1));
                let fitted = lines[from..]
                    .iter()
                    .flat_map(|line| match line.width() <= width {
                        true => vec![line.clone()],
                        false => crate::render::style::wrap_exactly(&line.0, width),
                    });
                fitted.take(rows).collect()
            }
            Body::Sessions { sessions, chosen } => {
                let n_shown = rows.saturating_sub(1).max(1);
                let (from, lines) = session_lines(sessions, *chosen, self.scroll, width, n_shown);
                self.scroll = from;
                lines
            }
            Body::Turns { turns, chosen } => {
                let (from, lines) = turn_lines(turns, *chosen, self.scroll, width, rows.max(1));
                self.scroll = from;
                lines
            }
        }
    }
}

fn noted(wish: notes::Wish) -> Picked {
    match wish {
        notes::Wish::Nothing => Picked::Nothing,
        notes::Wish::Close => Picked::Closed,
        notes::Wish::Session(session) => Picked::Session(session),
        wish => Picked::Notes(wish),
    }
}

fn job_picked(wish: jobs::Wish) -> Picked {
    match wish {
        jobs::Wish::Nothing => Picked::Nothing,
        jobs::Wish::Close => Picked::Closed,
        jobs::Wish::Show(session) => Picked::Session(session),
        jobs::Wish::Stop(session) => Picked::Stop(session),
    }
}

pub(super) fn moved(chosen: usize, rows: isize, n_entries: usize) -> usize {
    chosen
        .saturating_add_signed(rows)
        .min(n_entries.saturating_sub(1))
}

/// The first entry that is shown, so that the chosen one is.
pub(super) fn first_shown(from: usize, chosen: usize, n_shown: usize) -> usize {
    from.min(chosen).max((chosen + 1).saturating_sub(n_shown))
}

fn turn_lines(
    turns: &[(TurnId, String)],
    chosen: usize,
    from: usize,
    width: usize,
    n_shown: usize,
) -> (usize, Vec<Line>) {
    let from = first_shown(from, chosen, n_shown);
    let shown = turns.iter().enumerate().skip(from).take(n_shown);
    let lines = shown.map(|(idx, (_, words))| {
        let is_chosen = idx == chosen;
        let mark = if is_chosen { "▸" } else { " " };
        let style = Style {
            bold: is_chosen,
            ..Style::PLAIN
        };
        Line::default()
            .with(style, format!("{mark} {:>3}  {words}", idx + 1))
            .cut(width)
    });
    (from, lines.collect())
}

fn session_lines(
    sessions: &[SessionSummary],
    chosen: usize,
    from: usize,
    width: usize,
    n_shown: usize,
) -> (usize, Vec<Line>) {
    let from = first_shown(from, chosen, n_shown);
    let shown = sessions.iter().enumerate().skip(from).take(n_shown);
    let rows: Vec<Vec<String>> = shown
        .map(|(idx, session)| {
            let mark = if idx == chosen { "▸" } else { " " };
            let runs = if session.is_running { "⠿ " } else { "" };
            vec![
                mark.to_owned(),
                short(session.session),
                moment(session.active_at),
                session.turns.to_string(),
                money(session.usage.cost_usd_micros),
                format!("{runs}{}{}", branch_mark(session), session.title),
            ]
        })
        .collect();
    if rows.is_empty() {
        return (
            from,
            vec![Line::dim("there is no session yet; n begins one")],
        );
    }
    let head = ["", "id", "active", "turns", "cost", "title"];
    let mut lines = columns_of(&head, &rows, Some(width));
    if let Some(line) = lines.get_mut(1 + chosen.saturating_sub(from)) {
        line.0.iter_mut().for_each(|span| span.style.bold = true);
    }
    (from, lines)
}
