//! What can be done, found by a few letters, and what completes the word that is being typed.

use super::key::Key;
use crate::command::TABLE;
use crate::render::style::{Line, Style};
use crate::render::visible::visible;

/// Paths that are offered.
const PATHS_MAX: usize = 100;

/// Something that can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A command of the table that needs nothing more.
    Run(&'static str),
    /// A command of the table that something may follow: it is put where the person types.
    Begin(&'static str),
    Thinking,
    Call,
    Plan,
    Search,
    Copy,
    Theme,
    Stop,
    Costs,
    Memory,
    Turns,
    Changes,
    Start,
    End,
}

/// What can be done besides the commands of the table, with the keys that do it too.
const DEEDS: &[(Deed, &str, &str)] = &[
    (Deed::Stop, "stop the turn", "Ctrl-C"),
    (Deed::Search, "search the conversation", "Ctrl-F"),
    (Deed::Changes, "what the last turn changed in files", ""),
    (
        Deed::Turns,
        "go back to an earlier turn and go on from there",
        "Ctrl-G",
    ),
    (Deed::Costs, "what models cost, by day", ""),
    (
        Deed::Memory,
        "what is remembered: search, add, change, delete",
        "",
    ),
    (Deed::Call, "open or fold the last call in sight", "Ctrl-O"),
    (
        Deed::Thinking,
        "open or fold the model's thinking",
        "Ctrl-T",
    ),
    (Deed::Plan, "show or hide the plan", ""),
    (Deed::Copy, "copy the last answer", "Ctrl-Y"),
    (Deed::Start, "go to the beginning", "Ctrl-Home"),
    (Deed::End, "go to the end", "Ctrl-End"),
    (
        Deed::Theme,
        "another theme: dark, light, without colour",
        "",
    ),
];

/// A list of deeds, narrowed by what is typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Palette {
    pub(super) wanted: String,
    chosen: usize,
    /// How many were shown when it was drawn last.
    n_shown: usize,
}

/// What came of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picked {
    Nothing,
    Closed,
    Deed(Deed),
}

impl Palette {
    pub(super) fn key(&mut self, key: &Key) -> Picked {
        match key {
            Key::Escape | Key::Ctrl('p' | 'c') => return Picked::Closed,
            Key::Enter => {
                let picked = self.deeds().get(self.chosen).map(|(deed, ..)| *deed);
                return picked.map_or(Picked::Closed, Picked::Deed);
            }
            // From either end on to the other.
            Key::Up => self.chosen = self.chosen.checked_sub(1).unwrap_or(usize::MAX),
            Key::Down if self.chosen + 1 == self.deeds().len() => self.chosen = 0,
            Key::Down => self.chosen += 1,
            Key::PageUp => self.chosen = self.chosen.saturating_sub(self.n_shown),
            Key::PageDown => self.chosen += self.n_shown,
            Key::Home | Key::First => self.chosen = 0,
            Key::End | Key::Last => self.chosen = usize::MAX,
            Key::Wheel(rows) => {
                self.chosen = self
                    .chosen
                    .saturating_add_signed(isize::from(rows.signum()));
            }
            Key::Char(c) => {
                self.wanted.push(*c);
                self.chosen = 0;
            }
            Key::Backspace => {
                self.wanted.pop();
                self.chosen = 0;
            }
            _ => {}
        }
        self.chosen = self.chosen.min(self.deeds().len().saturating_sub(1));
        Picked::Nothing
    }

    /// The deed in a row of the list as it was drawn last.
    pub(super) fn click(&self, row: usize) -> Picked {
        let from = first_shown(self.chosen, self.n_shown);
        let deeds = self.deeds();
        let clicked = deeds.get(from + row).map(|(deed, ..)| *deed);
        clicked.map_or(Picked::Nothing, Picked::Deed)
    }

    fn deeds(&self) -> Vec<(Deed, String, &'static str)> {
        let commands = TABLE.iter().map(|entry| {
            let deed = match entry.arguments {
                "" => Deed::Run(entry.name),
                _ => Deed::Begin(entry.name),
            };
            (deed, format!("{:<22}{}", entry.usage(), entry.about), "")
        });
        let others = DEEDS
            .iter()
            .map(|(deed, about, key)| (*deed, (*about).to_owned(), *key));
        let wanted = self.wanted.to_lowercase();
        commands
            .chain(others)
            .filter(|(_, about, _)| {
                let about = about.to_lowercase();
                wanted.split_whitespace().all(|word| about.contains(word))
            })
            .collect()
    }

    /// What is typed, then the deeds that fit, at most `rows` together.
    pub(super) fn lines(&mut self, width: usize, rows: usize) -> Vec<Line> {
        let mut lines = vec![Line::default().with(Style::PLAIN, format!("› {}", self.wanted))];
        let deeds = self.deeds();
        if deeds.is_empty() {
            lines.push(Line::dim("  nothing is called so"));
        }
        self.n_shown = rows.saturating_sub(1);
        let from = first_shown(self.chosen, self.n_shown);
        let shown = deeds.iter().enumerate().skip(from).take(self.n_shown);
        for (idx, (_, about, key)) in shown {
            let about = Line::default().with(Style::PLAIN, about.as_str());
            lines.push(chosen_line(about, key, idx == self.chosen, width));
        }
        lines
    }

    /// As many rows as hold all of it.
    pub(super) fn rows(&self) -> usize {
        1 + self.deeds().len().max(1)
    }
}

/// The first that is shown so that the chosen one is.
fn first_shown(chosen: usize, n_shown: usize) -> usize {
    (chosen + 1).saturating_sub(n_shown.max(1))
}

fn chosen_line(about: Line, key: &str, is_chosen: bool, width: usize) -> Line {
    let mark = if is_chosen { "▸ " } else { "  " };
    let mut line = Line::default().with(Style::BOLD, mark);
    let room = width.saturating_sub(2 + key.chars().count() + 1);
    for mut span in about.cut(room).0 {
        span.style.bold = is_chosen;
        line.push(span);
    }
    let space = width.saturating_sub(line.width() + key.chars().count());
    line.with(Style::PLAIN, " ".repeat(space))
        .with(Style::DIM, key)
        .cut(width)
}

/// What completes the word that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Popup {
    items: Vec<(String, String)>,
    chosen: usize,
}

impl Popup {
    /// The commands that begin so, if any do and it is not one of them.
    pub(super) fn commands(typed: &str) -> Option<Self> {
        let is_meant = typed.starts_with('/') && !typed.contains(char::is_whitespace);
        let items: Vec<(String, String)> = TABLE
            .iter()
            .filter(|entry| is_meant && entry.name.starts_with(typed))
            .map(|entry| (entry.name.to_owned(), entry.about.to_owned()))
            .collect();
        (!items.is_empty()).then_some(Self { items, chosen: 0 })
    }

    pub(super) fn paths(paths: Vec<String>) -> Option<Self> {
        let items: Vec<(String, String)> = paths
            .into_iter()
            // A name that is not shown as it is would be completed to another.
            .filter(|path| visible(path) == *path)
            .take(PATHS_MAX)
            .map(|path| (path, String::new()))
            .collect();
        (!items.is_empty()).then_some(Self { items, chosen: 0 })
    }

    pub(super) fn up(&mut self) {
        self.chosen = self.chosen.saturating_sub(1);
    }

    pub(super) fn down(&mut self) {
        self.chosen = (self.chosen + 1).min(self.items.len().saturating_sub(1));
    }

    pub(super) fn chosen(&self) -> Option<&str> {
        self.items.get(self.chosen).map(|(item, _)| item.as_str())
    }

    pub(super) fn lines(&self, width: usize, rows_max: usize) -> Vec<Line> {
        let from = first_shown(self.chosen, rows_max);
        let shown = self.items.iter().enumerate().skip(from).take(rows_max);
        shown
            .map(|(idx, (item, about))| {
                let line = Line::default()
                    .with(Style::PLAIN, format!("{item:<12}"))
                    .with(Style::DIM, format!("  {about}"));
                chosen_line(line, "", idx == self.chosen, width)
            })
            .collect()
    }
}
