//! What keys do.

use super::app::{Action, App, Asking, NoteChange, Query, Request, Search, Seen};
use super::conversation::Kind;
use super::image;
use super::key::Key;
use super::notes;
use super::palette::{self, Deed, Palette, Popup};
use super::pane::{self, Pane};
use crate::command::{self, Command};
use crate::render::approval::{self, SEEN_MIN};
use crate::render::style::{Color, Style};
use crate::render::turn::chosen;
use serde_json::Map;
use std::path::PathBuf;
use titan_protocol::{ApprovalId, Decision, Forget, Judgement, Op, SessionId, TurnId, TurnOptions};

const PASTE_TOO_LONG: &str = "that paste is longer than 256 KiB together with the rest; put it into a file and name the file";

impl App {
    /// Takes the keys that came at once and gives what they ask for. What comes in one piece was pasted into a terminal
    /// that does not mark it, or typed ahead: it decides no approval and runs no command.
    pub fn keys(&mut self, keys: &[Key]) -> Vec<Action> {
        let is_press = keys.iter().all(|key| *key == keys[0]);
        keys.iter()
            .flat_map(|key| self.pressed(key, is_press))
            .collect()
    }

    /// Takes one key that was pressed by itself.
    pub fn key(&mut self, key: Key) -> Vec<Action> {
        self.keys(&[key])
    }

    fn pressed(&mut self, key: &Key, is_press: bool) -> Vec<Action> {
        let was_interrupted = std::mem::take(&mut self.was_interrupted);
        if key.is_pressed() {
            self.hint = None;
        }
        if let Key::Click(column, row) = key {
            return self.clicked(*column, *row);
        }
        if let Some(palette) = &mut self.palette {
            let picked = palette.key(key);
            return self.picked(picked);
        }
        if self.pane.is_some() {
            return self.pane_key(key, is_press);
        }
        if self.search.is_some() {
            return self.search_key(key);
        }
        match key {
            Key::Ctrl('c') => self.interrupt(was_interrupted),
            Key::Ctrl('d') if self.composer.is_empty() => self.leave(),
            Key::Ctrl('p') => self.deed_palette(),
            Key::Ctrl('f') => self.deed(Deed::Search),
            Key::Ctrl('o') => self.deed(Deed::Call),
            Key::Ctrl('t') => self.deed(Deed::Thinking),
            Key::Ctrl('y') => self.deed(Deed::Copy),
            Key::Ctrl('g') => self.deed(Deed::Turns),
            Key::Ctrl('l') => vec![Action::Redraw],
            Key::Help => {
                self.pane = Some(Pane::help());
                Vec::new()
            }
            _ => match self.approval() {
                Some(approval) if self.composer.is_empty() && !matches!(key, Key::Paste(_)) => {
                    self.approval_key(approval, key, is_press)
                }
                approval => {
                    // Who types on did not mean the request with what comes next either.
                    if approval.is_some()
                        && let Some(seen) = &mut self.seen
                    {
                        seen.since = self.now;
                    }
                    self.composer_key(key, is_press)
                }
            },
        }
    }

    /// An approval is decided by a letter that was pressed when it had been in sight for a while, and allowed only when
    /// it had been in sight to its end.
    fn approval_key(&mut self, approval: ApprovalId, key: &Key, is_press: bool) -> Vec<Action> {
        if self.scrolled_request(key) || self.scrolled(key) {
            return Vec::new();
        }
        let decision = match key {
            Key::Char(letter) if is_press => approval::decision(*letter),
            _ => None,
        };
        let now = self.now;
        let Some(seen) = self.seen.as_mut().filter(|seen| seen.approval == approval) else {
            return Vec::new();
        };
        let is_meant = now.saturating_sub(seen.since) >= SEEN_MIN.as_millis() as u64;
        match decision {
            None => {
                seen.since = now;
                Vec::new()
            }
            Some(_) if !is_meant => Vec::new(),
            Some(decision) if decision != Decision::Deny && !seen.is_whole => {
                self.hint = Some("there is more of it: PgDn or End shows the rest".to_owned());
                Vec::new()
            }
            Some(decision) => vec![Action::Submit(Op::Decide { approval, decision })],
        }
    }

    /// Scrolls the request that is in sight.
    fn scrolled_request(&mut self, key: &Key) -> bool {
        let Some(seen) = self.seen.as_mut().filter(|seen| seen.scroll_max > 0) else {
            return false;
        };
        let page = isize::try_from(seen.rows.saturating_sub(1).max(1)).unwrap_or(1);
        let rows = match key {
            Key::Up => -1,
            Key::Down => 1,
            Key::PageUp => -page,
            Key::PageDown => page,
            Key::Home => isize::MIN / 2,
            Key::End => isize::MAX / 2,
            _ => return false,
        };
        seen.scroll = seen.scroll.saturating_add_signed(rows).min(seen.scroll_max);
        true
    }

    fn composer_key(&mut self, key: &Key, is_press: bool) -> Vec<Action> {
        if let Some(popup) = &mut self.popup {
            match key {
                Key::Up => popup.up(),
                Key::Down => popup.down(),
                Key::Escape => self.popup = None,
                Key::Tab => return self.complete(),
                _ => return self.edited(key, is_press),
            }
            return Vec::new();
        }
        self.edited(key, is_press)
    }

    fn edited(&mut self, key: &Key, is_press: bool) -> Vec<Action> {
        match key {
            Key::Enter => return self.entered(is_press),
            Key::Escape => {
                self.conversation.go_to_end();
                return Vec::new();
            }
            Key::End if self.composer.is_empty() => {
                self.conversation.go_to_end();
                return Vec::new();
            }
            Key::Backspace if self.composer.is_empty() && !self.images.is_empty() => {
                self.images.pop();
                return Vec::new();
            }
            Key::Paste(pasted) => {
                let paths = image::dropped(pasted);
                if let [_, ..] = &paths[..] {
                    return asked_about(paths, pasted);
                }
            }
            _ if self.scrolled(key) => return Vec::new(),
            _ => {}
        }
        let width = self.composer_width();
        if !self.composer.key(key, width) {
            return Vec::new();
        }
        if self.composer.take_refused() {
            self.tell("!", Style::color(Color::Yellow), PASTE_TOO_LONG);
        }
        match key {
            Key::Up | Key::Down => {
                self.popup = None;
                Vec::new()
            }
            _ => self.offer(),
        }
    }

    /// Scrolls the conversation.
    fn scrolled(&mut self, key: &Key) -> bool {
        let view = self.view_of_conversation();
        let page = isize::try_from(view.height.saturating_sub(1).max(1)).unwrap_or(1);
        match key {
            Key::PageUp => self.conversation.scroll(-page, &view),
            Key::PageDown => self.conversation.scroll(page, &view),
            Key::RowUp => self.conversation.scroll(-1, &view),
            Key::RowDown => self.conversation.scroll(1, &view),
            Key::Wheel(rows) => self.conversation.scroll(isize::from(*rows), &view),
            Key::First => self.conversation.go_to_start(),
            Key::Last => self.conversation.go_to_end(),
            _ => return false,
        }
        true
    }

    /// Offers what completes the word at the cursor.
    fn offer(&mut self) -> Vec<Action> {
        if let Some(prefix) = self.composer.path() {
            self.popup = self.popup.take().filter(|_| !prefix.is_empty());
            return vec![Action::Files(prefix.to_owned())];
        }
        self.popup = Popup::commands(self.composer.text());
        Vec::new()
    }

    /// Paths came for what was being typed, unless it is something else by now.
    pub(super) fn offer_files(&mut self, prefix: &str, paths: Vec<String>) {
        if self.composer.path() == Some(prefix) {
            self.popup = Popup::paths(paths);
        }
    }

    fn complete(&mut self) -> Vec<Action> {
        let Some(chosen) = self
            .popup
            .take()
            .and_then(|popup| popup.chosen().map(str::to_owned))
        else {
            return Vec::new();
        };
        if self.composer.path().is_some() {
            self.composer.complete_path(&chosen);
            // A folder is gone on with.
            return self.offer();
        }
        self.composer.set(&format!("{chosen} "));
        Vec::new()
    }

    fn entered(&mut self, is_press: bool) -> Vec<Action> {
        self.popup = None;
        if self.composer.goes_on() {
            return Vec::new();
        }
        if self.composer.text().trim().is_empty() {
            if !self.images.is_empty() {
                self.hint = Some("say what is to be done with the image".to_owned());
            }
            return Vec::new();
        }
        if !is_press && command::is_command(self.composer.text()) {
            // It was pasted, or meant for something else: a command is the person's own once they see it.
            self.hint = Some("Enter once more runs it".to_owned());
            return Vec::new();
        }
        let text = self.composer.take();
        let mut actions = vec![Action::Remember(text.clone())];
        self.conversation.go_to_end();
        if let Some(Request::Question {
            question, choices, ..
        }) = self.requests.front()
        {
            let (question, text) = (*question, chosen(&text, choices));
            actions.push(Action::Submit(Op::Answer { question, text }));
            return actions;
        }
        actions.extend(self.perform(command::parse(&text)));
        actions
    }

    fn perform(&mut self, command: Command<'_>) -> Vec<Action> {
        let session = self.session();
        match command {
            Command::Say(text) => self.say(text),
            Command::Shell(script) => self.shell(script),
            Command::Help => {
                self.pane = Some(Pane::help());
                Vec::new()
            }
            Command::Model(None) => vec![Action::Ask(Query::Status)],
            Command::Model(Some(name)) => {
                self.settings.model = Some(name.to_owned());
                let text = format!(
                    "{name} answers from now on in this conversation; for good: titanclaw models use {name}"
                );
                self.tell("·", Style::DIM, &text);
                Vec::new()
            }
            Command::Sessions => self.ask("Sessions", Query::Sessions),
            Command::New => self.begin_session(),
            Command::Branch(None) => self.choose_turn(),
            Command::Branch(Some(named)) => match self.turn_named(Some(named)) {
                Ok(Some(turn)) => self.branch(turn),
                Ok(None) => Vec::new(),
                Err(why) => self.warned(&why),
            },
            Command::Image(None) => {
                self.images.clear();
                Vec::new()
            }
            Command::Image(Some(path)) => vec![Action::Image(Asking {
                path: self.root().join(path),
                pasted: None,
            })],
            Command::Compact => vec![Action::Submit(Op::Compact { session })],
            Command::Diff(named) => match self.turn_named(named) {
                Ok(turn) => self.ask("Changes", Query::Changes(session, turn)),
                Err(why) => self.warned(&why),
            },
            Command::Undo { turn, is_forced } => match self.turn_named(turn) {
                Ok(of) => vec![Action::Submit(Op::Undo {
                    session,
                    undo: TurnId::new(),
                    of,
                    is_forced,
                })],
                Err(why) => self.warned(&why),
            },
            Command::Forget { all } => self.forget(all),
            Command::Again => match self.last_said.clone() {
                Some(text) => self.ask_model(&text),
                None => self.warned("nothing was said yet"),
            },
            Command::Never => match self.last_reflex.take() {
                Some(name) => {
                    let text = format!(
                        "{name} answers no more; for good or not: titanclaw reflexes why {name}"
                    );
                    self.tell("·", Style::DIM, &text);
                    let judgement = Judgement::Demote;
                    vec![Action::Submit(Op::JudgeReflex { name, judgement })]
                }
                None => self.warned("no reflex has answered in this session"),
            },
            Command::Memory(words) => {
                let words = words.unwrap_or_default().to_owned();
                self.pane = Some(Pane::notes(words.clone()));
                let change = None;
                vec![Action::Recall { words, change }]
            }
            Command::Jobs => {
                self.pane = Some(Pane::jobs(self.now));
                vec![Action::Ask(Query::Jobs)]
            }
            Command::Cost => self.ask("Cost, last 30 days", Query::Costs),
            Command::Quit => vec![Action::Quit],
            Command::Unknown(name) => self.warned(&format!(
                "there is no /{name}; F1 lists what can be typed here"
            )),
        }
    }

    fn warned(&mut self, text: &str) -> Vec<Action> {
        self.tell("!", Style::color(Color::Yellow), text);
        Vec::new()
    }

    fn say(&mut self, text: &str) -> Vec<Action> {
        let options = self.options();
        self.say_with(text, options)
    }

    fn ask_model(&mut self, text: &str) -> Vec<Action> {
        let options = TurnOptions {
            without_reflexes: true,
            ..self.options()
        };
        self.say_with(text, options)
    }

    fn say_with(&mut self, text: &str, options: TurnOptions) -> Vec<Action> {
        let turn = TurnId::new();
        self.send(turn, text);
        vec![Action::Submit(Op::UserTurn {
            session: self.session(),
            turn,
            text: text.to_owned(),
            images: std::mem::take(&mut self.images)
                .into_iter()
                .map(|chip| chip.bytes)
                .collect(),
            options,
        })]
    }

    fn shell(&mut self, script: &str) -> Vec<Action> {
        let turn = TurnId::new();
        let text = format!("!{script}");
        self.send(turn, &text);
        vec![Action::Submit(Op::UserCall {
            session: self.session(),
            turn,
            text,
            tool: "shell".to_owned(),
            arguments: Map::from_iter([("script".to_owned(), script.into())]),
            options: self.options(),
        })]
    }

    fn turn_named(&self, named: Option<&str>) -> Result<Option<TurnId>, String> {
        named
            .map(|named| command::turn_named(&self.turns, &self.undos, named))
            .transpose()
    }

    fn forget(&mut self, all: bool) -> Vec<Action> {
        let session = self.session();
        let what = match (all, self.turns.last()) {
            (true, _) => Forget::Session { session },
            (false, Some(turn)) => Forget::Turn {
                session,
                turn: *turn,
            },
            (false, None) => {
                return self.warned("nothing was said yet; /forget all deletes the whole session");
            }
        };
        vec![Action::Submit(Op::Forget { what })]
    }

    /// Opens a pane that waits for an answer.
    fn ask(&mut self, title: &str, query: Query) -> Vec<Action> {
        self.pane = Some(Pane::waiting(title));
        vec![Action::Ask(query)]
    }

    /// Lets the person choose the turn after which they go on.
    fn choose_turn(&mut self) -> Vec<Action> {
        if self.turns.is_empty() {
            return self.warned("nothing was said yet; there is no turn to go back to");
        }
        let turns = self.turns.iter().copied().zip(self.words.iter().cloned());
        self.pane = Some(Pane::turns(turns.collect()));
        Vec::new()
    }

    fn branch(&mut self, after: TurnId) -> Vec<Action> {
        vec![Action::Submit(Op::Branch {
            session: self.session(),
            after,
            into: SessionId::new(),
        })]
    }

    fn begin_session(&mut self) -> Vec<Action> {
        let action = self.show_session(SessionId::new());
        vec![action]
    }

    fn interrupt(&mut self, was_interrupted: bool) -> Vec<Action> {
        if let Some(turn) = &mut self.turn {
            turn.is_stopping = true;
            let session = self.session();
            return vec![Action::Submit(Op::Interrupt { session })];
        }
        if !self.composer.is_empty() {
            self.composer.set("");
            self.popup = None;
            return Vec::new();
        }
        if was_interrupted {
            return vec![Action::Quit];
        }
        self.was_interrupted = true;
        self.hint = Some("Ctrl-C again, or Ctrl-D, leaves".to_owned());
        Vec::new()
    }

    fn leave(&mut self) -> Vec<Action> {
        if self.turn.is_some() {
            self.hint = Some("a turn runs: Ctrl-C stops it, /quit leaves all the same".to_owned());
            return Vec::new();
        }
        vec![Action::Quit]
    }

    fn deed_palette(&mut self) -> Vec<Action> {
        self.popup = None;
        self.palette = Some(Palette::default());
        Vec::new()
    }

    fn picked(&mut self, picked: palette::Picked) -> Vec<Action> {
        match picked {
            palette::Picked::Nothing => Vec::new(),
            palette::Picked::Closed => {
                self.palette = None;
                Vec::new()
            }
            palette::Picked::Deed(deed) => {
                self.palette = None;
                self.deed(deed)
            }
        }
    }

    fn deed(&mut self, deed: Deed) -> Vec<Action> {
        let view = self.view_of_conversation();
        match deed {
            Deed::Run(name) => return self.perform(command::parse(name)),
            Deed::Begin(name) => self.composer.set(&format!("{name} ")),
            Deed::Thinking => {
                self.settings.shows_thinking = !self.settings.shows_thinking;
                self.conversation.follow_default();
            }
            Deed::Call => {
                let is_call = |kind: &Kind| matches!(kind, Kind::Call(_));
                if let Some(entry) = self.conversation.last_entry(self.drawn.last_entry, is_call) {
                    self.conversation.toggle(entry, &view);
                }
            }
            Deed::Plan => self.hides_plan = !self.hides_plan,
            Deed::Search => self.search = Some(Search::default()),
            Deed::Copy => match self.conversation.last_answer() {
                Some(text) => {
                    self.hint = Some("copied, where the terminal takes it".to_owned());
                    return vec![Action::Copy(text)];
                }
                None => self.hint = Some("there is no answer yet".to_owned()),
            },
            Deed::Theme => self.settings.theme = self.settings.theme.next(),
            Deed::Stop => return self.interrupt(false),
            Deed::Costs => return self.perform(Command::Cost),
            Deed::Memory => return self.perform(Command::Memory(None)),
            Deed::Turns => return self.choose_turn(),
            Deed::Changes => return self.perform(Command::Diff(None)),
            Deed::Start => self.conversation.go_to_start(),
            Deed::End => self.conversation.go_to_end(),
        }
        Vec::new()
    }

    fn pane_key(&mut self, key: &Key, is_press: bool) -> Vec<Action> {
        let picked = self
            .pane
            .as_mut()
            .map_or(pane::Picked::Closed, |pane| pane.key(key, is_press));
        self.pane_picked(picked)
    }

    fn pane_picked(&mut self, picked: pane::Picked) -> Vec<Action> {
        use pane::Picked::{Notes, Nothing, Stop};
        if !matches!(picked, Nothing | Stop(_) | Notes(_)) {
            self.pane = None;
        }
        match picked {
            pane::Picked::Nothing | pane::Picked::Closed => Vec::new(),
            pane::Picked::Stop(session) => vec![Action::Submit(Op::Interrupt { session })],
            pane::Picked::Notes(wish) => noted(wish).into_iter().collect(),
            pane::Picked::Turn(turn) => self.branch(turn),
            pane::Picked::New => self.begin_session(),
            pane::Picked::Session(session) if session == self.session() => Vec::new(),
            pane::Picked::Session(session) => vec![self.show_session(session)],
        }
    }

    fn search_key(&mut self, key: &Key) -> Vec<Action> {
        let Some(search) = &mut self.search else {
            return Vec::new();
        };
        match key {
            Key::Escape | Key::Ctrl('f' | 'c') => self.search = None,
            Key::Char(c) => {
                search.wanted.push(*c);
                self.find_anew();
            }
            Key::Paste(text) => {
                search
                    .wanted
                    .push_str(text.lines().next().unwrap_or_default());
                self.find_anew();
            }
            Key::Backspace => {
                search.wanted.pop();
                self.find_anew();
            }
            Key::Enter | Key::Up | Key::BackTab => self.find(true),
            Key::Down | Key::Tab => self.find(false),
            _ => {
                self.scrolled(key);
            }
        }
        Vec::new()
    }

    fn find_anew(&mut self) {
        if let Some(search) = &mut self.search {
            search.at = None;
        }
        self.find(true);
    }

    fn find(&mut self, is_backward: bool) {
        let view = self.view_of_conversation();
        let Some(search) = &mut self.search else {
            return;
        };
        let wanted = search.wanted.to_lowercase();
        if wanted.trim().is_empty() {
            return;
        }
        match self
            .conversation
            .find(&wanted, search.at, is_backward, &view)
        {
            Some(place) => {
                search.at = Some(place);
                self.conversation.show(place, &view);
            }
            None if search.at.is_some() => self.hint = Some("no more of it that way".to_owned()),
            None => self.hint = Some("it is not there".to_owned()),
        }
    }

    fn clicked(&mut self, column: u16, row: u16) -> Vec<Action> {
        let drawn = &self.drawn;
        if let (Some(palette), Some(area)) = (&self.palette, drawn.palette) {
            let picked = match area.holds(column, row) {
                // The first row is what is typed.
                true => row
                    .checked_sub(area.top + 1)
                    .map_or(palette::Picked::Nothing, |at| {
                        palette.click(usize::from(at))
                    }),
                false => palette::Picked::Closed,
            };
            return self.picked(picked);
        }
        if let Some(pane) = &mut self.pane {
            let picked = row
                .checked_sub(1)
                .map_or(pane::Picked::Nothing, |at| pane.click(usize::from(at)));
            return self.pane_picked(picked);
        }
        let view = self.view_of_conversation();
        let place = self.drawn.places.get(usize::from(row)).copied();
        // The first block of a card or of the thinking is its header; block 0 is the gap before it.
        if let Some(place) = place.filter(|place| place.block == 1) {
            self.conversation.toggle(place.entry, &view);
        }
        Vec::new()
    }

    /// Notes that an approval is drawn: since when, and how much of it.
    pub(super) fn see(&mut self, approval: ApprovalId, rows: usize, scroll_max: usize) -> Seen {
        let before = self.seen.filter(|seen| seen.approval == approval);
        let mut seen = before.unwrap_or(Seen {
            approval,
            since: self.now,
            is_whole: false,
            scroll: 0,
            scroll_max,
            rows,
        });
        seen.rows = rows;
        seen.scroll_max = scroll_max;
        seen.scroll = seen.scroll.min(scroll_max);
        seen.is_whole |= rows > 0 && seen.scroll == scroll_max;
        self.seen = Some(seen);
        seen
    }
}

/// What is asked about the notes.
fn noted(wish: notes::Wish) -> Option<Action> {
    let (words, change) = match wish {
        notes::Wish::Find(words) => (words, None),
        notes::Wish::Keep(draft, words) => (words, Some(NoteChange::Keep(draft))),
        notes::Wish::Discard(id, words) => (words, Some(NoteChange::Discard(id))),
        notes::Wish::Nothing | notes::Wish::Close | notes::Wish::Session(_) => return None,
    };
    Some(Action::Recall { words, change })
}

/// Asks whether what was dropped are images. Where one is none, its path alone is pasted after all.
fn asked_about(paths: Vec<PathBuf>, pasted: &str) -> Vec<Action> {
    let pasted = match &paths[..] {
        [_] => vec![pasted.to_owned()],
        _ => pasted
            .trim()
            .lines()
            .map(|line| format!("{line}\n"))
            .collect(),
    };
    let asked = paths.into_iter().zip(pasted).map(|(path, pasted)| {
        let pasted = Some(pasted);
        Action::Image(Asking { path, pasted })
    });
    asked.collect()
}
