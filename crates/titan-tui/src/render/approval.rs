//! An approval request as a person must see it: the whole of what would run, nothing hidden and nothing cut.

use super::style::{Color, Line, Span, Style, wrap, wrap_exactly};
use super::visible::{clean, lookalikes, visible};
use serde_json::Value;
use std::time::Duration;
use titan_protocol::{Decision, Effect, ToolCall};

/// A request must have been in sight for this long before a key answers it: who types on does not mean it.
pub const SEEN_MIN: Duration = Duration::from_millis(500);

/// The request, in as many lines as it takes. Every line carries the gutter, so that no text of the call can pass for
/// a line of the program's own.
pub fn request(call: &ToolCall, effects: &[Effect], reason: &str, width: usize) -> Vec<Line> {
    let room = width.saturating_sub(3).max(8);
    let title = Style {
        bold: true,
        ..Style::color(Color::Yellow)
    };
    let mut lines = vec![
        Line::default()
            .with(Style::color(Color::Yellow), "┌ ")
            .with(title, format!("{} wants to run", visible_line(&call.name))),
    ];
    let mut put = |spans: &[Span]| {
        for line in wrap_exactly(spans, room) {
            let mut guttered = Line::default().with(Style::color(Color::Yellow), "│ ");
            line.0.into_iter().for_each(|span| guttered.push(span));
            lines.push(guttered);
        }
    };
    for (name, value) in &call.arguments {
        let text = match value {
            Value::String(text) => visible(text),
            other => visible(&other.to_string()),
        };
        put(&[
            Span::new(format!("{}: ", visible_line(name)), Style::DIM),
            Span::new(text, Style::BOLD),
        ]);
    }
    for effect in effects {
        put(&[Span::new(
            format!("→ {}", effect_text(effect)),
            Style::PLAIN,
        )]);
    }
    let strange = lookalikes(&Value::Object(call.arguments.clone()).to_string());
    if !strange.is_empty() {
        let named: Vec<String> = strange
            .iter()
            .map(|c| format!("{c} (U+{:04X})", u32::from(*c)))
            .collect();
        let text = format!("! letters that look like others: {}", named.join(", "));
        put(&[Span::new(text, Style::color(Color::Red))]);
    }
    for line in wrap(&[Span::new(clean(reason), Style::DIM)], room) {
        put(&line.0);
    }
    lines
}

/// A name, which has no business with line breaks.
fn visible_line(name: &str) -> String {
    visible(name).replace('\n', "␊")
}

/// The choices, one short line.
pub fn choices() -> Line {
    let key = Style {
        bold: true,
        ..Style::color(Color::Yellow)
    };
    let mut line = Line::default().with(Style::color(Color::Yellow), "└ ");
    for (letter, rest) in [("o", "nce"), ("s", "ession"), ("e", "xact"), ("d", "eny")] {
        line = line
            .with(Style::DIM, "[")
            .with(key, letter)
            .with(Style::DIM, format!("]{rest} "));
    }
    line
}

/// The decision that a letter stands for, in either case.
pub fn decision(letter: char) -> Option<Decision> {
    match letter.to_ascii_lowercase() {
        'o' | 'y' => Some(Decision::Once),
        's' => Some(Decision::Session),
        'e' => Some(Decision::Exact),
        'd' | 'n' => Some(Decision::Deny),
        _ => None,
    }
}

/// What was decided, in a line.
pub fn decided(decision: Decision, by: &str) -> Line {
    let (mark, color, text) = match decision {
        Decision::Once => ("✓", Color::Green, "allowed once"),
        Decision::Session => ("✓", Color::Green, "allowed for this session"),
        Decision::Exact => ("✓", Color::Green, "allowed whenever it is exactly this"),
        Decision::Deny => ("✗", Color::Red, "denied"),
    };
    let by = match by {
        "person" => "",
        "timeout" => " (nobody answered in time)",
        "unattended" => " (nobody is here to ask; --allow gives standing answers)",
        "cancelled" => " (the turn was stopped)",
        "restart" => " (the engine was restarted)",
        _ => " (by rule)",
    };
    Line::default()
        .with(Style::color(color), format!("└ {mark} {text}"))
        .with(Style::DIM, by)
}

/// One effect in words.
pub fn effect_text(effect: &Effect) -> String {
    let side = |in_workspace: bool| {
        if in_workspace {
            ""
        } else {
            " (outside the workspace)"
        }
    };
    match effect {
        Effect::Read { path, in_workspace } => {
            format!(
                "reads {}{}",
                visible(&path.to_string_lossy()),
                side(*in_workspace)
            )
        }
        Effect::Write { path, in_workspace } => {
            format!(
                "writes {}{}",
                visible(&path.to_string_lossy()),
                side(*in_workspace)
            )
        }
        Effect::Run {
            program, arguments, ..
        } => {
            let arguments: Vec<String> = arguments.iter().map(|text| visible(text)).collect();
            format!("runs {} {}", visible(program), arguments.join(" "))
                .trim_end()
                .to_owned()
        }
        Effect::Network { host, port } => format!("connects to {}:{port}", visible(host)),
        Effect::Message { recipient } => format!("sends a message to {}", visible(recipient)),
        Effect::Secret { name } => format!("uses the secret {}", visible(name)),
        Effect::Money {
            usd_micros,
            recipient,
        } => {
            let to = if recipient.is_empty() { "" } else { ", to " };
            format!(
                "spends up to {}{to}{}",
                super::money(Some(*usd_micros)),
                visible(recipient)
            )
        }
        Effect::Remember => "writes into the notes that later turns read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    fn call(script: &str) -> ToolCall {
        ToolCall {
            id: "c1".into(),
            name: "shell".into(),
            arguments: json!({ "script": script, "seconds": 5 })
                .as_object()
                .cloned()
                .unwrap_or_default(),
        }
    }

    #[test]
    fn x14_nothing_of_a_call_is_hidden_or_cut() {
        let script = "ls\n└ ✓ allowed once\r\u{1b}[2Krm -rf  ~/x \u{202e}txt\u{200b}; сat";
        let effects = [Effect::Run {
            program: "/bin/rm".into(),
            arguments: vec!["-rf".into(), "\u{1b}[0m".into()],
            reads_only: false,
        }];
        let lines = request(&call(script), &effects, "runs a program that writes", 30);
        let text: String = lines.iter().map(|line| line.text() + "\n").collect();
        expect![[r#"
            ┌ shell wants to run
            │ script: ls
            │ └ ✓ allowed once␍␛[2Krm -rf
            │   ~/x ⟨U+202E⟩txt⟨U+200B⟩; 
            │ сat
            │ seconds: 5
            │ → runs /bin/rm -rf ␛[0m
            │ ! letters that look like ot
            │ hers: с (U+0441)
            │ runs a program that writes
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_long_command_is_shown_to_its_end() {
        let script = "x".repeat(5_000) + " && rm -rf /";
        let lines = request(&call(&script), &[], "", 40);
        let shown: String = lines
            .iter()
            .map(|line| line.text().trim_start_matches("│ ").to_owned())
            .collect();
        assert!(shown.contains(&script));
    }

    #[test]
    fn letters_stand_for_decisions() {
        assert_eq!(decision('o'), Some(Decision::Once));
        assert_eq!(decision('D'), Some(Decision::Deny));
        assert_eq!(decision('x'), None);
    }
}
