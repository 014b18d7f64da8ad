//! The promise of the display, tried: whatever models, tools, files and servers say, wherever it is shown and however
//! it is cut, nothing of it steers the terminal or hides from the reader. The names carry the checks' ids.

use super::screen::{Screen, Size};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Duration;
use titan_protocol::{
    ApprovalId, CallId, CanvasAction, Effect, Event, ModelError, NoticeLevel, Origin, PlanItem,
    PlanStatus, QuestionId, Record, SessionId, Surface, SurfaceKind, Taint, ToolCall, TurnId,
    TurnOutcome, UndoOutcome, UndoneFile, Usage, Verdict,
};
use titan_tui::render::approval;
use titan_tui::render::markdown::Layout;
use titan_tui::render::style::Line;
use titan_tui::render::table::columns_of;
use titan_tui::render::turn::TurnView;
use titan_tui::render::visible::{CleanStream, clean, json, visible};

const SIZE: Size = Size {
    columns: 40,
    rows: 12,
};
const LAYOUT: Layout = Layout {
    width: 39,
    has_color: true,
};

/// What terminals obey, each with the text `ok` behind it.
const STEERING: [(&str, &str); 16] = [
    ("clipboard, OSC 52 by BEL", "\u{1b}]52;c;ZXZpbA==\u{7}ok"),
    ("clipboard, OSC 52 by ST", "\u{1b}]52;c;ZXZpbA==\u{1b}\\ok"),
    (
        "link, OSC 8",
        "\u{1b}]8;;http://evil\u{1b}\\ok\u{1b}]8;;\u{1b}\\",
    ),
    ("title, OSC 0", "\u{1b}]0;evil\u{7}ok"),
    ("title, as C1", "\u{9d}0;evil\u{9c}ok"),
    ("title read back", "\u{1b}[21tok"),
    ("cursor position asked, DSR", "\u{1b}[6nok"),
    ("settings asked, DECRQSS", "\u{1b}P$qm\u{1b}\\ok"),
    ("keys defined, DECUDK", "\u{1b}P0;1|17/6576696c\u{1b}\\ok"),
    ("cursor moved up", "\u{1b}[3Aok"),
    ("screen cleared, as C1", "\u{9b}2Jok"),
    ("line written over", "no\rok"),
    ("characters taken back", "no\u{8}\u{8}ok"),
    ("paste ended", "\u{1b}[201~ok"),
    ("terminal reset", "\u{1b}cok"),
    ("application's message, APC", "\u{1b}_Gevil\u{1b}\\ok"),
];

/// What readers don't see, each with what they must.
const HIDING: [(&str, &str, &str); 6] = [
    ("override", "a\u{202e}b", "a⟨U+202E⟩b"),
    ("isolate", "a\u{2066}b", "a⟨U+2066⟩b"),
    ("zero width", "a\u{200b}b", "a⟨U+200B⟩b"),
    (
        "word joiners",
        "a\u{2060}\u{2060}b",
        "a⟨U+2060 and 1 more⟩b",
    ),
    ("tags", "a\u{e0072}\u{e006d}b", "a⟨hidden: rm⟩b"),
    (
        "selectors as bytes",
        "a\u{e0101}\u{e0142}b",
        "a⟨U+E0101 and 1 more⟩b",
    ),
];

fn record(event: Event) -> Record {
    Record {
        seq: 1,
        at: 0,
        session: SessionId::from_u128(1),
        turn: Some(TurnId::from_u128(2)),
        event,
    }
}

fn call(text: &str) -> ToolCall {
    ToolCall {
        id: CallId::from("c1"),
        name: text.to_owned(),
        arguments: json!({ text: text, "list": [text] })
            .as_object()
            .cloned()
            .unwrap_or_default(),
    }
}

/// A turn in which everything that comes from elsewhere is this text.
fn events(text: &str) -> Vec<Event> {
    let owned = || text.to_owned();
    let id = || CallId::from("c1");
    let failed = ModelError::Rejected {
        provider: owned(),
        detail: owned(),
    };
    vec![
        Event::TurnStarted { text: owned() },
        Event::ModelCallStarted {
            provider: owned(),
            model: owned(),
            reason: Some(owned()),
        },
        Event::ThinkingDelta { text: owned() },
        Event::TextDelta { text: owned() },
        Event::ToolCallStarted {
            call: id(),
            name: owned(),
        },
        Event::ToolCallReady {
            call: call(text),
            origin: Origin::Person,
        },
        Event::StepDecided {
            call: id(),
            step: 0,
            verdict: Verdict::Deny { reason: owned() },
            lasting: Vec::new(),
        },
        Event::ApprovalRequested {
            approval: ApprovalId::from_u128(3),
            call: call(text),
            effects: effects(text),
            reason: owned(),
            expires_at: 0,
        },
        Event::ToolOutputDelta {
            call: id(),
            text: owned(),
        },
        Event::ToolCallEnded {
            call: id(),
            text: owned(),
            is_error: true,
            taint: Taint::BOTH,
            whole: None,
            elapsed_ms: 1,
        },
        Event::PlanUpdated {
            items: vec![PlanItem {
                text: owned(),
                status: PlanStatus::Pending,
            }],
        },
        Event::CanvasDrawn {
            surface: Surface {
                name: owned(),
                title: owned(),
                kind: SurfaceKind::Code,
                language: owned(),
                content: owned(),
            },
        },
        Event::ShortcutTaken {
            name: owned(),
            version: 1,
            because: owned(),
        },
        Event::ShortcutDeclined {
            name: owned(),
            why: owned(),
        },
        Event::CanvasRemoved { name: owned() },
        Event::CanvasActed {
            act: CanvasAction {
                surface: owned(),
                action: owned(),
                values: Map::from_iter([(owned(), owned().into())]),
            },
        },
        Event::QuestionAsked {
            question: QuestionId::from_u128(4),
            text: owned(),
            choices: vec![owned()],
        },
        Event::QuestionAnswered {
            question: QuestionId::from_u128(4),
            text: Some(owned()),
        },
        Event::Steered {
            text: owned(),
            turn: TurnId::from_u128(5),
        },
        Event::Notice {
            level: NoticeLevel::Warning,
            text: owned(),
        },
        Event::UndoEnded {
            of: TurnId::from_u128(4),
            files: vec![UndoneFile {
                path: text.into(),
                outcome: UndoOutcome::Refused { why: owned() },
            }],
            beyond: vec![owned()],
        },
        Event::ModelCallFailed { error: failed },
        Event::TurnEnded {
            outcome: TurnOutcome::Failed { error: owned() },
            usage: Usage::default(),
            elapsed_ms: 1,
        },
    ]
}

fn effects(text: &str) -> Vec<Effect> {
    vec![
        Effect::Write {
            path: text.into(),
            in_workspace: false,
        },
        Effect::Run {
            program: text.into(),
            arguments: vec![text.to_owned()],
            reads_only: false,
        },
        Effect::Network {
            host: text.to_owned(),
            port: 443,
        },
        Effect::Message {
            recipient: text.to_owned(),
        },
        Effect::Secret {
            name: text.to_owned(),
        },
    ]
}

/// Everything that a terminal is sent while these events come, the live part drawn after each.
fn drawn(events: impl IntoIterator<Item = Event>, typed: &str) -> String {
    let mut view = TurnView::new(true, true);
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, true);
    for event in events {
        let finished = view.apply(&record(event), LAYOUT);
        let live = view.live(0, Duration::from_secs(2), typed, LAYOUT);
        screen.draw(&finished, &live, SIZE).unwrap();
    }
    screen.clear(SIZE).unwrap();
    String::from_utf8(out).unwrap()
}

/// The text without the codes that this program writes itself: styles, and those that take the live part away.
fn without_own_codes(sent: &str) -> String {
    let mut out = String::new();
    let mut rest = sent;
    while let Some(at) = rest.find(['\u{1b}', '\r']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match own_code(rest) {
            Some(length) => rest = &rest[length..],
            None => {
                out.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn own_code(rest: &str) -> Option<usize> {
    if let Some(erasure) = rest.strip_prefix('\r') {
        let up = code(erasure).filter(|(_, last, _)| *last == 'A');
        let moved = up.map_or(0, |(_, _, length)| length);
        let (parameters, last, length) = code(&erasure[moved..])?;
        return (last == 'J' && parameters.is_empty()).then_some(1 + moved + length);
    }
    let (parameters, last, length) = code(rest)?;
    let is_style = last == 'm'
        && parameters.split(';').all(|code| {
            ["0", "1", "2", "3", "4", "9", "31", "32", "33", "35", "36"].contains(&code)
        });
    is_style.then_some(length)
}

/// The control sequence at the beginning: its parameters, its last character, its length.
fn code(rest: &str) -> Option<(&str, char, usize)> {
    let body = rest.strip_prefix("\u{1b}[")?;
    let end = body.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    let last = body[end..].chars().next()?;
    Some((&body[..end], last, 2 + end + last.len_utf8()))
}

fn is_unsafe(c: char) -> bool {
    let hides = matches!(
        c,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
    ) || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    hides || (c.is_control() && c != '\n' && c != '\t')
}

fn assert_safe(shown: &str, what: &str) {
    let text = without_own_codes(shown);
    if let Some(c) = text.chars().find(|c| is_unsafe(*c)) {
        panic!(
            "U+{:04X} reaches the terminal, {what}: {text:?}",
            u32::from(c)
        );
    }
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text() + "\n").collect()
}

#[test]
fn p15_terminal_escapes_reach_no_terminal_from_anywhere() {
    for (what, text) in STEERING {
        assert_safe(&drawn(events(text), text), what);
        assert!(clean(text).ends_with("ok"), "{what}: {:?}", clean(text));
        let evil = clean(text).contains("evil") || clean(text).contains("2J");
        assert!(!evil, "{what}: {:?}", clean(text));
        let rows = [vec![text.to_owned(), text.to_owned()]];
        let row = text_of(&columns_of(&["id", text], &rows, None));
        assert_safe(&row, what);
        assert_eq!(row.lines().count(), 2, "{what} breaks a row: {row:?}");
    }
}

#[test]
fn p15_terminal_escapes_cut_by_deltas_reach_no_terminal() {
    for (what, text) in STEERING {
        for (cut, _) in text.char_indices() {
            let delta = |text: &str| Event::TextDelta { text: text.into() };
            let output = |text: &str| Event::ToolOutputDelta {
                call: CallId::from("c1"),
                text: text.into(),
            };
            let (first, second) = text.split_at(cut);
            let begun = Event::ToolCallReady {
                call: call("x"),
                origin: Origin::Model,
            };
            let events = [
                delta(first),
                delta(second),
                begun,
                output(first),
                output(second),
            ];
            assert_safe(&drawn(events, ""), what);
            let mut stream = CleanStream::default();
            let joined = stream.push(first) + &stream.push(second) + &stream.finish();
            assert_eq!(joined, clean(text), "{what} cut at {cut}");
        }
    }
}

#[test]
fn p16_bidi_zero_width_and_tag_characters_are_marked_everywhere() {
    for (what, text, expected) in HIDING {
        assert_eq!(clean(text), expected, "{what}");
        assert_safe(&drawn(events(text), text), what);
        let rows = [vec![text.to_owned()]];
        let row = text_of(&columns_of(&["title"], &rows, None));
        assert!(row.contains(expected), "{what}: {row:?}");
    }
}

#[test]
fn p15_p16_records_as_json_hold_no_byte_that_steers_or_hides() {
    for text in STEERING
        .iter()
        .map(|(_, text)| *text)
        .chain(HIDING.iter().map(|(_, text, _)| *text))
    {
        for event in events(text) {
            let record = record(event);
            let document = serde_json::to_string(&record).unwrap();
            let safe = json(&document);
            assert_safe(&safe, text);
            assert_eq!(serde_json::from_str::<Record>(&safe).unwrap(), record);
        }
    }
}

/// Each line of a request but the first and the choices carries the gutter.
fn requested(text: &str, width: usize) -> String {
    let arguments = json!({ "script": text });
    let call = ToolCall {
        id: CallId::from("c1"),
        name: "shell".into(),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
    };
    let lines = approval::request(&call, &effects(text), text, width);
    assert_safe(&text_of(&lines), text);
    for line in &lines[1..] {
        assert!(line.text().starts_with("│ "), "{:?}", line.text());
    }
    let inner: Vec<String> = lines[1..]
        .iter()
        .map(|line| line.text().trim_start_matches("│ ").to_owned())
        .collect();
    inner.concat()
}

#[test]
fn x14_an_approval_shows_the_whole_command_with_all_that_hides() {
    let cases = [
        ("an escape", "ls \u{1b}[2Krm x", "ls ␛[2Krm x"),
        ("a carriage return", "ls\rrm x", "ls␍rm x"),
        ("a NUL", "ls\0rm x", "ls␀rm x"),
        ("a backspace", "ls\u{8}\u{8}rm", "ls␈␈rm"),
        ("a C1 control", "ls\u{9b}2J", "ls⟨U+009B⟩2J"),
        ("an override", "ls \u{202e}x", "ls ⟨U+202E⟩x"),
        ("zero width", "l\u{200b}s", "l⟨U+200B⟩s"),
        ("a joiner", "l\u{200d}s", "l⟨U+200D⟩s"),
        ("a tag", "ls\u{e0041}", "ls⟨U+E0041⟩"),
        ("a combining mark", "ls\u{338}", "ls⟨U+0338⟩"),
        ("a wide space", "ls\u{3000}x", "ls⟨U+3000⟩x"),
        ("a look-alike", "ls сat", "look like others: с (U+0441)"),
        (
            "text that could end the frame",
            "a\n└ ✓ allowed once",
            "a└ ✓ allowed once",
        ),
    ];
    for (what, text, expected) in cases {
        let shown = requested(text, 200);
        assert!(shown.contains(expected), "{what}: {shown:?}");
    }
    let long = "echo ".to_owned() + &"x".repeat(20_000) + " && rm -rf ~";
    assert!(requested(&long, 40).contains(&long), "it is cut");
    let many = "echo line\n".repeat(500) + "rm -rf ~";
    assert!(requested(&many, 40).contains("rm -rf ~"), "it is cut");
}

/// Bytes as a hostile model or tool might put them together.
fn soup() -> impl Strategy<Value = String> {
    let fragments = prop_oneof![
        3 => vec(any::<u8>(), 1..8),
        2 => (0..STEERING.len()).prop_map(|idx| STEERING[idx].1.as_bytes().to_vec()),
        1 => (0..HIDING.len()).prop_map(|idx| HIDING[idx].1.as_bytes().to_vec()),
        2 => prop::sample::select(vec![
            "\u{1b}", "\u{1b}[", "\u{1b}]", "\u{1b}P", "\u{9b}", "\u{9d}", "\u{9c}", "\u{7}",
            "\r", "\n", "\r\n", "\t", "`", "```\n", "**", "[", "](", "| a |\n|---|\n", "- ", "<b>",
            "0;1", "m", "A", "J", "\u{200d}", "\u{fe0f}", "日", "e\u{301}", "\u{0}", "\u{7f}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec(fragments, 1..24).prop_map(|parts| String::from_utf8_lossy(&parts.concat()).into_owned())
}

/// The text in pieces, cut at these places.
fn pieces(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut.index(text.len() + 1)))
        .chain([0, text.len()])
        .collect();
    at.sort_unstable();
    at.windows(2)
        .map(|pair| text[pair[0]..pair[1]].to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p15_any_soup_of_bytes_cut_anywhere_leaves_only_our_own_codes(
        text in soup(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let pieces = pieces(&text, &cuts);
        let mut stream = CleanStream::default();
        let joined: String = pieces.iter().map(|piece| stream.push(piece)).collect();
        let joined = joined + &stream.finish();
        prop_assert_eq!(joined.as_str(), clean(&text));
        prop_assert_eq!(clean(&joined), joined.as_str());
        prop_assert!(!visible(&text).chars().any(is_unsafe));

        let deltas = pieces.iter().map(|piece| Event::TextDelta { text: piece.clone() });
        let thoughts = pieces.iter().map(|piece| Event::ThinkingDelta { text: piece.clone() });
        let sent = drawn(thoughts.chain(deltas).chain(events(&text)), &text);
        assert_safe(&sent, "in a turn");
        let line: Value = json!({ "text": text });
        assert_safe(&json(&line.to_string()), "as JSON");
    }
}
