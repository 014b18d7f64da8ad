//! What the engine is doing, in a line.

use super::app::{App, Request};
use super::card::{Card, State};
use super::spinner;
use crate::render::style::{Color, Line, Style};
use crate::render::visible::clean_line;
use crate::render::{count, duration, money};
use titan_protocol::UnixMillis;

/// What a turn waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Engine,
    Model,
    Thinking,
    Writing,
    Calls,
}

/// The turn that runs.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) begun_at: UnixMillis,
    pub(super) waiting: Waiting,
    /// Whether the person has asked for its end.
    pub(super) is_stopping: bool,
}

impl App {
    /// The line at the bottom: what goes on at the left, the figures at the right.
    pub(super) fn status_line(&self, width: usize) -> Line {
        let mut line = self.doing();
        let figures = self.figures();
        let used = line.width();
        let room = width.saturating_sub(used + 2);
        let mut kept = figures.as_slice();
        while kept.join(" · ").chars().count() > room {
            match kept.split_last() {
                Some((_, rest)) => kept = rest,
                None => break,
            }
        }
        let figures = Line::dim(kept.join(" · "));
        let space = width.saturating_sub(used + figures.width());
        if !figures.0.is_empty() {
            line = line.with(Style::PLAIN, " ".repeat(space));
            figures.0.into_iter().for_each(|span| line.push(span));
        }
        line.cut(width)
    }

    fn doing(&self) -> Line {
        let attention = Style::color(Color::Yellow);
        if let Some(why) = &self.disconnected {
            let text = format!("{} {}", spinner(self.now), clean_line(why));
            return Line::default().with(Style::color(Color::Red), text);
        }
        if let Some(hint) = &self.hint {
            return Line::default().with(attention, hint.as_str());
        }
        match self.requests.front() {
            Some(_) if self.has_overlay() => {
                return Line::default().with(attention, "? you are asked something · Esc shows it");
            }
            Some(Request::Approval { .. }) => {
                return Line::default().with(attention, "? waits for your yes or no");
            }
            Some(Request::Question { .. }) => {
                return Line::default().with(attention, "? waits for your answer");
            }
            None => {}
        }
        if self.search.is_some() {
            return Line::dim("Enter older · Down newer · Esc");
        }
        let Some(turn) = &self.turn else {
            return match self.conversation.is_at_end() {
                true => Line::dim("Ctrl-P commands · F1 keys"),
                false => Line::dim("Esc goes to the end"),
            };
        };
        let end = match turn.is_stopping {
            true => " · stopping",
            false => " · Ctrl-C stops",
        };
        let elapsed = match self.elapsed(turn.begun_at) {
            short if short.as_secs() == 0 => String::new(),
            short if short.as_secs() < 60 => format!(" {}s", short.as_secs()),
            long => format!(" {}", duration(long)),
        };
        Line::default()
            .with(Style::color(Color::Cyan), spinner(self.now))
            .with(
                Style::PLAIN,
                format!(" {}{elapsed}", self.waiting_for(turn)),
            )
            .with(Style::DIM, end)
    }

    fn waiting_for(&self, turn: &Turn) -> String {
        let open: Vec<&Card> = self.conversation.open_cards().collect();
        let calls = match open.as_slice() {
            [] => "waiting for the model".to_owned(),
            [card] => match card.state {
                State::Written if card.has_output() => {
                    format!("running {} while it is written", card.name)
                }
                State::Written => format!("preparing {}", card.name),
                _ => format!("running {}", card.name),
            },
            cards => format!("running {} tools", cards.len()),
        };
        match &turn.waiting {
            _ if !open.is_empty() => calls,
            Waiting::Engine => "working".to_owned(),
            Waiting::Model if self.model.is_empty() => "waiting for the model".to_owned(),
            Waiting::Model => format!("waiting for {}", clean_line(&self.model)),
            Waiting::Thinking => "thinking".to_owned(),
            Waiting::Writing => "writing".to_owned(),
            Waiting::Calls => calls,
        }
    }

    /// Figures, the most telling first.
    fn figures(&self) -> Vec<String> {
        let usage = &self.usage;
        let read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
        let mut figures = Vec::new();
        let chosen = self.settings.model.as_deref().unwrap_or_default();
        let model = if self.model.is_empty() {
            chosen
        } else {
            &self.model
        };
        if !model.is_empty() {
            figures.push(clean_line(model).into_owned());
        }
        if read + usage.output_tokens > 0 {
            figures.push(money(usage.cost_usd_micros));
            let tokens = (count(read), count(usage.output_tokens));
            figures.push(format!("{} in {} out", tokens.0, tokens.1));
        }
        if !self.title.is_empty() {
            figures.push(clean_line(&self.title).into_owned());
        }
        figures
    }
}
