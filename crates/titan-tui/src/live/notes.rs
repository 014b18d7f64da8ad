//! The pane of what is remembered over sessions: looked through, searched, added to, changed and deleted.

use super::composer::Composer;
use super::conversation::short;
use super::key::Key;
use super::pane::{first_shown, moved};
use crate::render::moment;
use crate::render::style::{Color, Line, Style, wrap};
use crate::render::visible::{clean, clean_line, columns};
use titan_protocol::{MemoryDocument, MemoryDraft, MemoryOrigin, SessionId};

/// The longest that is searched for, in characters.
const WORDS_CHARS_MAX: usize = 200;
const SEARCH: &str = "search › ";
const TAGS: &str = "tags › ";

/// The notes, and what the person is doing with them.
#[derive(Debug, Default)]
pub(super) struct Notes {
    documents: Vec<MemoryDocument>,
    chosen: usize,
    from: usize,
    /// What was searched for.
    words: String,
    doing: Doing,
    /// A word about what was done last, and one for when what is under way is done.
    told: Option<String>,
    pending: Option<&'static str>,
    /// Rows of the list that were drawn last, and how many stood before it.
    rows: usize,
    rows_before: usize,
}

#[derive(Debug, Default)]
enum Doing {
    #[default]
    Looking,
    Searching(String),
    Writing(Box<Draft>),
    /// A note is to be deleted if that is said once more.
    Deleting,
}

/// A note that is being written.
#[derive(Debug, Default)]
struct Draft {
    /// The note whose place it takes.
    of: Option<String>,
    text: Composer,
    tags: Composer,
    is_at_tags: bool,
    /// It was handed in and nothing was heard of it yet.
    is_sent: bool,
}

impl Draft {
    fn of(document: &MemoryDocument) -> Self {
        let mut draft = Self {
            of: Some(document.id.clone()),
            ..Self::default()
        };
        draft.text.set(&document.text);
        draft.tags.set(&document.tags.join(", "));
        draft
    }

    fn field(&mut self) -> &mut Composer {
        match self.is_at_tags {
            true => &mut self.tags,
            false => &mut self.text,
        }
    }

    /// What is to be kept; the fields keep what stands in them until it is.
    fn draft(&mut self) -> MemoryDraft {
        let text = self.text.take();
        self.text.set(&text);
        let tags = self.tags.text().split(',').map(str::trim);
        let tags = tags.filter(|tag| !tag.is_empty()).map(str::to_owned);
        MemoryDraft {
            text,
            tags: tags.collect(),
            replaces: self.of.clone(),
            ..MemoryDraft::default()
        }
    }
}

/// What came of a key.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    Nothing,
    Close,
    /// Look for these words.
    Find(String),
    /// Keep this, then look for these words again.
    Keep(MemoryDraft, String),
    /// Delete this for good, then look for these words again.
    Discard(String, String),
    /// Show the session that a note came from.
    Session(SessionId),
}

impl Notes {
    pub(super) fn new(words: String) -> Self {
        Self {
            words,
            ..Self::default()
        }
    }

    /// What was found came; the note of this id is chosen, if it is among them.
    pub(super) fn found(
        &mut self,
        words: String,
        documents: Vec<MemoryDocument>,
        kept: Option<&str>,
    ) {
        if matches!(&self.doing, Doing::Writing(draft) if draft.is_sent) {
            self.doing = Doing::Looking;
        }
        if let Some(done) = self.pending.take() {
            self.told = Some(done.to_owned());
        }
        let at = kept.and_then(|id| documents.iter().position(|document| document.id == id));
        self.chosen = at.unwrap_or(self.chosen.min(documents.len().saturating_sub(1)));
        self.documents = documents;
        self.words = words;
    }

    /// Something could not be done. What was being written stays.
    pub(super) fn failed(&mut self, why: &str) {
        if let Doing::Writing(draft) = &mut self.doing {
            draft.is_sent = false;
        }
        self.pending = None;
        self.told = Some(clean_line(why).into_owned());
    }

    pub(super) fn title(&self) -> String {
        let n = self.documents.len();
        let notes = if n == 1 { "note" } else { "notes" };
        match self.words.is_empty() {
            true => format!("Memory · {n} {notes}"),
            false => format!("Memory · {n} {notes} with “{}”", clean_line(&self.words)),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match &self.doing {
            Doing::Looking if self.documents.is_empty() => "/ search · a add · Esc",
            Doing::Looking => "/ search · a add · e edit · d delete · Esc",
            Doing::Searching(_) => "Enter searches · Esc",
            Doing::Writing(_) => "Enter keeps it · Tab tags · Esc",
            Doing::Deleting => "y deletes it for good · n",
        }
    }

    /// Takes a key; `is_press`: it was pressed by itself and came with no others.
    pub(super) fn key(&mut self, key: &Key, is_press: bool, width: usize) -> Wish {
        if key.is_pressed() {
            self.told = None;
        }
        match &mut self.doing {
            Doing::Looking => self.looking(key),
            Doing::Searching(_) => self.searching(key),
            Doing::Writing(_) => self.writing(key, width),
            Doing::Deleting => self.deleting(key, is_press),
        }
    }

    fn looking(&mut self, key: &Key) -> Wish {
        let page = isize::try_from(self.rows.max(1)).unwrap_or(isize::MAX);
        match key {
            Key::Escape | Key::Char('q') | Key::Ctrl('c') => return Wish::Close,
            Key::Char('/') | Key::Ctrl('f') => self.doing = Doing::Searching(self.words.clone()),
            Key::Char('a') => self.doing = Doing::Writing(Box::default()),
            Key::Char('e') | Key::Enter => {
                if let Some(document) = self.documents.get(self.chosen) {
                    self.doing = Doing::Writing(Box::new(Draft::of(document)));
                }
            }
            Key::Char('d') | Key::Delete if !self.documents.is_empty() => {
                self.doing = Doing::Deleting;
            }
            Key::Char('o') => match self.documents.get(self.chosen).map(|it| &it.origin) {
                Some(MemoryOrigin::Turn { session, .. }) => return Wish::Session(*session),
                Some(MemoryOrigin::Person) => {
                    self.told = Some("you wrote it; it came from no session".to_owned());
                }
                Some(MemoryOrigin::Untrusted) => {
                    self.told = Some("it came from no session".to_owned());
                }
                None => {}
            },
            Key::Up | Key::RowUp => self.by(-1),
            Key::Down | Key::RowDown => self.by(1),
            Key::Wheel(rows) => self.by(isize::from(*rows)),
            Key::PageUp => self.by(-page),
            Key::PageDown | Key::Char(' ') => self.by(page),
            Key::Home | Key::First => self.by(isize::MIN / 2),
            Key::End | Key::Last => self.by(isize::MAX / 2),
            _ => {}
        }
        Wish::Nothing
    }

    fn by(&mut self, rows: isize) {
        self.chosen = moved(self.chosen, rows, self.documents.len());
    }

    fn searching(&mut self, key: &Key) -> Wish {
        let Doing::Searching(words) = &mut self.doing else {
            return Wish::Nothing;
        };
        match key {
            Key::Escape | Key::Ctrl('c') => self.doing = Doing::Looking,
            Key::Enter => {
                let words = std::mem::take(words);
                self.doing = Doing::Looking;
                return Wish::Find(words.trim().to_owned());
            }
            Key::Char(c) if words.chars().count() < WORDS_CHARS_MAX => words.push(*c),
            Key::Paste(text) => {
                let line = clean_line(text.lines().next().unwrap_or_default()).into_owned();
                let room = WORDS_CHARS_MAX.saturating_sub(words.chars().count());
                words.extend(line.chars().take(room));
            }
            Key::Backspace => {
                words.pop();
            }
            Key::Ctrl('u') => words.clear(),
            _ => {}
        }
        Wish::Nothing
    }

    fn writing(&mut self, key: &Key, width: usize) -> Wish {
        let words = self.words.clone();
        let Doing::Writing(draft) = &mut self.doing else {
            return Wish::Nothing;
        };
        match key {
            Key::Escape | Key::Ctrl('c') => self.doing = Doing::Looking,
            _ if draft.is_sent => {}
            Key::Tab | Key::BackTab => draft.is_at_tags = !draft.is_at_tags,
            // A tag is one line.
            Key::NewLine if draft.is_at_tags => {}
            Key::Enter if draft.text.goes_on() => {}
            Key::Enter if draft.text.text().trim().is_empty() => {
                self.told = Some("a note needs a text".to_owned());
            }
            Key::Enter => {
                draft.is_sent = true;
                self.pending = Some("kept");
                return Wish::Keep(draft.draft(), words);
            }
            key => {
                draft.field().key(key, width.saturating_sub(2).max(1));
                if draft.field().take_refused() {
                    self.told = Some("that is too long for a note".to_owned());
                }
            }
        }
        Wish::Nothing
    }

    /// A note is deleted by a key that was pressed, not by one that came with a paste.
    fn deleting(&mut self, key: &Key, is_press: bool) -> Wish {
        if !key.is_pressed() {
            return Wish::Nothing;
        }
        self.doing = Doing::Looking;
        match (key, self.documents.get(self.chosen)) {
            (Key::Char('y'), Some(document)) if is_press => {
                self.pending = Some("deleted for good");
                Wish::Discard(document.id.clone(), self.words.clone())
            }
            _ => Wish::Nothing,
        }
    }

    /// A row of the pane was clicked, counted from the first below its title.
    pub(super) fn click(&mut self, row: usize) -> Wish {
        let is_looking = matches!(self.doing, Doing::Looking);
        let at = row.checked_sub(self.rows_before).map(|at| self.from + at);
        let is_shown = |at: &usize| *at < (self.from + self.rows).min(self.documents.len());
        match at.filter(is_shown).filter(|_| is_looking) {
            Some(at) if at == self.chosen => self.looking(&Key::Enter),
            Some(at) => {
                self.chosen = at;
                Wish::Nothing
            }
            None => Wish::Nothing,
        }
    }

    /// The rows below the title, and where the cursor stands.
    pub(super) fn lines(
        &mut self,
        width: usize,
        rows: usize,
    ) -> (Vec<Line>, Option<(usize, usize)>) {
        if let Doing::Writing(draft) = &self.doing {
            return self.form(draft, width, rows);
        }
        let mut lines = Vec::new();
        let mut cursor = None;
        match &self.doing {
            Doing::Searching(words) => {
                let line = Line::default()
                    .with(Style::color(Color::Cyan), SEARCH)
                    .with(Style::PLAIN, words.as_str());
                cursor = Some((0, line.width()));
                lines.push(line.cut(width));
            }
            Doing::Deleting => {
                let text = "Delete this note for good? y deletes it, any other key does not";
                lines.push(Line::default().with(Style::color(Color::Yellow), text));
            }
            Doing::Looking | Doing::Writing(_) => {}
        }
        if let Some(told) = &self.told {
            lines.push(Line::default().with(Style::color(Color::Yellow), told.as_str()));
        }
        self.rows_before = lines.len();
        let room = rows.saturating_sub(lines.len());
        match self.documents.is_empty() {
            true => lines.extend(self.nothing(width)),
            false => {
                // The chosen note is shown whole below the list, as far as there is room.
                self.rows = self.documents.len().min((room / 2).max(1));
                self.from = first_shown(self.from, self.chosen, self.rows);
                lines.extend(self.list(width));
                lines.push(Line::dim("─".repeat(width)));
                lines.extend(self.whole(width));
            }
        }
        lines.truncate(rows);
        (lines.iter().map(|line| line.cut(width)).collect(), cursor)
    }

    fn nothing(&self, width: usize) -> Vec<Line> {
        let text = match self.words.is_empty() {
            true => {
                "Nothing is remembered yet. The agent notes what it is told to remember; a adds a note of yours."
            }
            false => "No note holds all these words; / and Enter with nothing shows all.",
        };
        wrap(&Line::dim(text).0, width)
    }

    fn list(&self, width: usize) -> Vec<Line> {
        let shown = self.documents.iter().enumerate();
        let shown = shown.skip(self.from).take(self.rows);
        let lines = shown.map(|(idx, document)| {
            let is_chosen = idx == self.chosen;
            let style = Style {
                bold: is_chosen,
                ..Style::PLAIN
            };
            let mark = if is_chosen { "▸ " } else { "  " };
            let text = document.text.lines().find(|line| !line.trim().is_empty());
            let when = moment(document.changed_at.unwrap_or(document.at));
            let mut line = Line::default()
                .with(style, mark)
                .with(Style::DIM, format!("{when}  "));
            for tag in &document.tags {
                line = line.with(Style::color(Color::Cyan), format!("#{} ", clean_line(tag)));
            }
            line.with(style, clean_line(text.unwrap_or_default().trim()))
                .cut(width)
        });
        lines.collect()
    }

    /// The chosen note in full, with where it comes from.
    fn whole(&self, width: usize) -> Vec<Line> {
        let Some(document) = self.documents.get(self.chosen) else {
            return Vec::new();
        };
        let from = match &document.origin {
            MemoryOrigin::Person => "you wrote it".to_owned(),
            MemoryOrigin::Turn { session, .. } => {
                format!("a tool kept it in session {} (o shows it)", short(*session))
            }
            MemoryOrigin::Untrusted => "strangers may have written it".to_owned(),
        };
        let changed = document.changed_at.map(moment);
        let changed = changed.map_or(String::new(), |at| format!(" · you changed it {at}"));
        let text = clean(&document.text);
        let text = text.lines().flat_map(|line| match line {
            "" => vec![Line::default()],
            line => wrap(&Line::default().with(Style::PLAIN, line).0, width),
        });
        let origin = format!("{from}, {}{changed}", moment(document.at));
        let origin = wrap(&Line::dim(origin).0, width);
        text.chain(origin).collect()
    }

    fn form(
        &self,
        draft: &Draft,
        width: usize,
        rows: usize,
    ) -> (Vec<Line>, Option<(usize, usize)>) {
        let title = match draft.of {
            None => "A new note",
            Some(_) => "The old text will be deleted for good",
        };
        let mut lines = vec![match &self.told {
            Some(told) => Line::default().with(Style::color(Color::Yellow), told.as_str()),
            None if draft.is_sent => Line::dim("is being kept …"),
            None => Line::dim(format!("{title} · Alt-Enter begins a line")),
        }];
        let text_width = width.saturating_sub(2).max(1);
        let (row, column) = draft.text.cursor_at(text_width);
        // The title, a row between the fields, and the tags.
        let room = rows.saturating_sub(3).max(1);
        let from = (row + 1).saturating_sub(room);
        let text = draft.text.lines(text_width);
        for (idx, written) in text.into_iter().enumerate().skip(from).take(room) {
            let lead = if idx == 0 { "› " } else { "  " };
            let mut line = Line::default().with(Style::color(Color::Cyan), lead);
            written.0.into_iter().for_each(|span| line.push(span));
            lines.push(line);
        }
        let at_text = (1 + row - from, 2 + column);
        lines.push(Line::default());
        let tags = draft.tags.lines(usize::MAX).into_iter().next();
        let mut line = Line::default().with(Style::color(Color::Cyan), TAGS);
        tags.unwrap_or_default()
            .0
            .into_iter()
            .for_each(|span| line.push(span));
        if draft.tags.is_empty() {
            line = line.with(Style::DIM, "words to find it by, with commas between");
        }
        lines.push(line);
        let (_, column) = draft.tags.cursor_at(usize::MAX);
        let at_tags = (lines.len() - 1, columns(TAGS) + column);
        let cursor = if draft.is_at_tags { at_tags } else { at_text };
        lines.truncate(rows);
        let lines = lines.iter().map(|line| line.cut(width)).collect();
        (lines, Some(cursor))
    }
}
