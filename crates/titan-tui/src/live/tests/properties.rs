//! However records are cut and whenever they are drawn, the screen ends the same.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// A turn whose texts come in these pieces.
fn turn(answer: &[String], thoughts: &[String], put_out: &[String]) -> Vec<Event> {
    let mut events = vec![started("go"), model()];
    events.extend(thoughts.iter().map(|piece| thinking(piece)));
    events.extend(answer.iter().map(|piece| text(piece)));
    events.push(ready("c1", "cargo test"));
    events.extend(put_out.iter().map(|piece| output("c1", piece)));
    events.push(ended("c1", "it failed\nat last", true));
    events.extend(answer.iter().map(|piece| text(piece)));
    events.extend([model_ended(), completed()]);
    events
}

fn final_screen(events: Vec<Event>, draws: &[bool]) -> String {
    let mut app = app();
    for (idx, event) in events.into_iter().enumerate() {
        tell(&mut app, [event]);
        if draws
            .get(idx % draws.len().max(1))
            .copied()
            .unwrap_or(false)
        {
            shown(&mut app, 60, 20);
        }
    }
    shown(&mut app, 60, 20);
    app.key(Key::Ctrl('t'));
    app.key(Key::Ctrl('o'));
    app.key(Key::First);
    let first = shown(&mut app, 60, 40);
    app.key(Key::Last);
    first + &shown(&mut app, 60, 40)
}

fn prose() -> impl Strategy<Value = String> {
    let fragments = prop::sample::select(vec![
        "word ",
        "日本",
        "\n",
        "\n\n",
        "- item\n",
        "1. one\n",
        "**b**",
        "`c`",
        "```rust\nfn x() {}\n",
        "```\n",
        "# head\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "> q\n",
        "\u{1b}[31m",
        "\r",
        "\t",
        "e\u{301}",
        "long-word-without-an-end-that-is-broken ",
    ]);
    vec(fragments, 0..24).prop_map(|parts| parts.concat())
}

fn pieces(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut.index(text.len() + 1)))
        .chain([0, text.len()])
        .collect();
    at.sort_unstable();
    at.dedup();
    at.windows(2)
        .map(|pair| text[pair[0]..pair[1]].to_owned())
        .collect()
}

/// A turn that draws a surface whose arguments come in these pieces, up to its end or up to the last of them.
fn drawing_turn(json: &str, pieces: &[String], is_whole: bool) -> Vec<Event> {
    let id: titan_protocol::CallId = "c1".into();
    let mut events = vec![started("draw"), model()];
    events.push(Event::ToolCallStarted {
        call: id.clone(),
        name: "canvas".into(),
    });
    events.extend(pieces.iter().map(|json| Event::ToolArgumentsDelta {
        call: id.clone(),
        json: json.clone(),
    }));
    if !is_whole {
        return events;
    }
    let arguments: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).expect("it was made from values");
    let surface = titan_protocol::Surface {
        name: "it".into(),
        title: String::new(),
        kind: serde_json::from_value(arguments["kind"].clone()).expect("it is a kind"),
        language: String::new(),
        content: arguments["content"].as_str().unwrap_or_default().into(),
    };
    let call = titan_protocol::ToolCall {
        id,
        name: "canvas".into(),
        arguments,
    };
    let origin = titan_protocol::Origin::Model;
    events.push(Event::ToolCallReady { call, origin });
    events.push(Event::CanvasDrawn { surface });
    events.push(ended("c1", "it is shown", false));
    events.extend([model_ended(), completed()]);
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_drawn_grows_and_ends_the_same_however_its_arguments_were_cut(
        content in prose(),
        kind in prop::sample::select(vec!["markdown", "code", "table", "chart", "form", "diagram", "html"]),
        until in any::<prop::sample::Index>(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
        draws in vec(any::<bool>(), 1..6),
    ) {
        let given = serde_json::json!({"name": "it", "kind": kind, "content": content});
        let json = given.to_string();
        let at_once = drawing_turn(&json, std::slice::from_ref(&json), true);
        let cut = drawing_turn(&json, &pieces(&json, &cuts), true);
        prop_assert_eq!(final_screen(cut, &draws), final_screen(at_once, &[false]));
        // Also while it is being written, after any part of it.
        let begun = &json[..json.floor_char_boundary(until.index(json.len() + 1))];
        let at_once = drawing_turn(&json, &[begun.to_owned()], false);
        let cut = drawing_turn(&json, &pieces(begun, &cuts), false);
        prop_assert_eq!(final_screen(cut, &draws), final_screen(at_once, &[false]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_records_cut_and_drawn_in_any_way_end_in_the_same_screen(
        answer in prose(),
        thoughts in prose(),
        put_out in prose(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
        draws in vec(any::<bool>(), 1..6),
    ) {
        let whole = |text: &str| vec![text.to_owned()];
        let at_once = turn(&whole(&answer), &whole(&thoughts), &whole(&put_out));
        let cut = turn(&pieces(&answer, &cuts), &pieces(&thoughts, &cuts), &pieces(&put_out, &cuts));
        prop_assert_eq!(final_screen(cut, &draws), final_screen(at_once, &[false]));
    }
}
