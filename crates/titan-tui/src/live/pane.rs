//! What takes the conversation's place for a while: sessions, changes, costs, the keys.

use super::conversation::short;
use super::key::Key;
use crate::command;
use crate::render::style::{Color, Line, Style};
use crate::render::table::{self, columns_of};
use crate::render::undo;
use crate::render::{branch_mark, moment, money, usage};
use std::path::Path;
use titan_protocol::{CostLine, SessionId, SessionSummary, TurnChanges, TurnId, Usage};

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
#[derive(Clone, Debug)]
pub(super) struct Pane {
    title: String,
    body: Body,
    scroll: usize,
    /// Rows that were drawn last.
    pub(super) rows: usize,
}

#[derive(Clone, Debug)]
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
}

/// What came of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picked {
    Nothing,
    Closed,
    Session(SessionId),
    Turn(TurnId),
    New,
}

impl Pane {
    fn new(title: impl Into<String>, body: Body) -> Self {
        Self {
            title: title.into(),
            body,
            scroll: 0,
            rows: 0,
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

    pub(super) fn key(&mut self, key: &Key) -> Picked {
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
            _ => Picked::Nothing,
        }
    }

    /// An entry of a list was clicked: it is chosen, and picked if it was chosen before.
    fn clicked(&mut self, clicked: usize) -> Picked {
        let (n_entries, chosen) = match &mut self.body {
            Body::Sessions { sessions, chosen } => (sessions.len(), chosen),
            Body::Turns { turns, chosen } => (turns.len(), chosen),
            Body::Waiting | Body::Lines(_) => return Picked::Nothing,
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
            Body::Waiting | Body::Lines(_) => Picked::Closed,
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
            Body::Waiting => {}
        }
    }

    /// The title with what can be pressed.
    pub(super) fn title(&self, width: usize) -> Line {
        let hint = match &self.body {
            Body::Sessions { .. } => "Enter opens · n new · Esc",
            Body::Turns { .. } => "Enter goes on from there · Esc",
            Body::Lines(lines) if lines.len() > self.rows => "arrows, PgDn · Esc",
            Body::Lines(_) | Body::Waiting => "Esc",
        };
        let title = Style {
            bold: true,
            ..Style::color(Color::Magenta)
        };
        let line = Line::default().with(title, self.title.as_str());
        let space = width.saturating_sub(line.width() + hint.chars().count());
        line.with(Style::PLAIN, " ".repeat(space.max(1)))
            .with(Style::DIM, hint)
            .cut(width)
    }

    /// The rows below the title.
    pub(super) fn lines(&mut self, width: usize, rows: usize) -> Vec<Line> {
        self.rows = rows;
        match &self.body {
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

fn moved(chosen: usize, rows: isize, n_entries: usize) -> usize {
    chosen
        .saturating_add_signed(rows)
        .min(n_entries.saturating_sub(1))
}

/// The first entry that is shown, so that the chosen one is.
fn first_shown(from: usize, chosen: usize, n_shown: usize) -> usize {
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
