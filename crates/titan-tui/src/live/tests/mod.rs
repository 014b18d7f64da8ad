//! The screen as text: records and keys in, rows out.

mod bounds;
mod keys;
mod panes;
mod properties;
mod states;

use super::{Action, App, Key, Settings, Theme};
use expect_test::Expect;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;
use titan_protocol::{
    ApprovalId, CallId, Effect, Event, Origin, PlanItem, PlanStatus, QuestionId, Record, SessionId,
    StopReason, Taint, ToolCall, TurnId, TurnOutcome, Usage,
};

/// When everything in a test begins, in milliseconds.
const START: u64 = 1_000_000;
const SESSION: SessionId = SessionId::from_u128(0x5e55);

fn app_with(theme: Theme) -> App {
    let settings = Settings {
        session: SESSION,
        workspace: "/w".into(),
        model: None,
        answers: "qwen (local): the only one here".into(),
        theme,
        shows_thinking: false,
    };
    let mut app = App::new(settings, vec!["what I asked before".into()]);
    app.at(START);
    app
}

fn app() -> App {
    app_with(Theme::Dark)
}

/// An app that these events were told.
fn told(events: impl IntoIterator<Item = Event>) -> App {
    let mut app = app();
    tell(&mut app, events);
    app
}

fn tell(app: &mut App, events: impl IntoIterator<Item = Event>) {
    for event in events {
        app.apply(&record(event));
    }
}

fn record(event: Event) -> Record {
    Record {
        seq: 1,
        at: START,
        session: SESSION,
        turn: Some(TurnId::from_u128(0x7a)),
        event,
    }
}

fn screen(app: &mut App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.view(frame)).unwrap();
    terminal
}

/// The rows of the screen, without the spaces at their ends.
fn shown(app: &mut App, width: u16, height: u16) -> String {
    let terminal = screen(app, width, height);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in 0..height {
        let mut line = String::new();
        let mut column = 0;
        while column < width {
            let symbol = buffer[(column, row)].symbol();
            line.push_str(symbol);
            column += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol).max(1)).unwrap();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn check(app: &mut App, width: u16, height: u16, expected: Expect) {
    expected.assert_eq(&shown(app, width, height));
}

fn type_in(app: &mut App, text: &str) -> Vec<Action> {
    let pressed = text.chars().map(|c| match c {
        '\n' => Key::Enter,
        c => Key::Char(c),
    });
    pressed.flat_map(|key| app.key(key)).collect()
}

fn started(text: &str) -> Event {
    Event::TurnStarted { text: text.into() }
}

fn text(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

fn thinking(text: &str) -> Event {
    Event::ThinkingDelta { text: text.into() }
}

fn model() -> Event {
    Event::ModelCallStarted {
        provider: "local".into(),
        model: "qwen".into(),
        reason: None,
    }
}

fn model_ended() -> Event {
    Event::ModelCallEnded {
        usage: usage(),
        stop: StopReason::End,
    }
}

fn usage() -> Usage {
    Usage {
        input_tokens: 1_200,
        output_tokens: 34,
        cost_usd_micros: Some(12_300),
        ..Usage::default()
    }
}

fn id(call: &str) -> CallId {
    CallId::from(call)
}

fn call(call: &str, script: &str) -> ToolCall {
    ToolCall {
        id: id(call),
        name: "shell".into(),
        arguments: json!({ "script": script })
            .as_object()
            .cloned()
            .unwrap_or_default(),
    }
}

fn begun(call: &str) -> Event {
    Event::ToolCallStarted {
        call: id(call),
        name: "shell".into(),
    }
}

fn ready(name: &str, script: &str) -> Event {
    Event::ToolCallReady {
        call: call(name, script),
        origin: Origin::Model,
    }
}

fn output(call: &str, text: &str) -> Event {
    Event::ToolOutputDelta {
        call: id(call),
        text: text.into(),
    }
}

fn ended(call: &str, text: &str, is_error: bool) -> Event {
    Event::ToolCallEnded {
        call: id(call),
        text: text.into(),
        is_error,
        taint: Taint::NONE,
        whole: None,
        elapsed_ms: 1_234,
    }
}

fn completed() -> Event {
    Event::TurnEnded {
        outcome: TurnOutcome::Completed,
        usage: usage(),
        elapsed_ms: 3_400,
    }
}

fn approval(script: &str) -> Event {
    Event::ApprovalRequested {
        approval: ApprovalId::from_u128(7),
        call: call("c1", script),
        effects: vec![Effect::Write {
            path: "/w/x".into(),
            in_workspace: true,
        }],
        reason: "changes files".into(),
        expires_at: 0,
    }
}

fn question() -> Event {
    Event::QuestionAsked {
        question: QuestionId::from_u128(3),
        text: "Which one do you mean?".into(),
        choices: vec!["the left one".into(), "the right one".into()],
    }
}

fn plan() -> Event {
    let item = |text: &str, status| PlanItem {
        text: text.into(),
        status,
    };
    Event::PlanUpdated {
        items: vec![
            item("look around", PlanStatus::Done),
            item("build it", PlanStatus::InProgress),
            item("test it", PlanStatus::Pending),
        ],
    }
}
