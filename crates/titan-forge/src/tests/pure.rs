//! The parts that are values in, values out.

use crate::agree::agrees;
use crate::plan::{Extract, numbers};
use crate::words::{Kind, is_timeless, tokens};

fn meanings(text: &str) -> Vec<String> {
    let tokens = tokens(text).expect("it is short");
    tokens
        .into_iter()
        .filter(|token| token.role != crate::words::Role::Filler)
        .map(|token| token.meaning)
        .collect()
}

#[test]
fn words_that_mean_the_same_are_the_same() {
    assert_eq!(
        meanings("How many lines does README.md have?"),
        ["count", "lin", "README.md", "have"]
    );
    assert_eq!(
        meanings("the number of lines in README.md"),
        ["count", "lin", "README.md"]
    );
    assert_eq!(
        meanings("Please remove the directories"),
        meanings("delete folders")
    );
}

#[test]
fn values_are_known_by_their_looks() {
    let kinds = |text: &str| -> Vec<Kind> {
        let tokens = tokens(text).expect("it is short");
        tokens
            .into_iter()
            .map(|token| token.kind)
            .filter(|kind| *kind != Kind::Word)
            .collect()
    };
    assert_eq!(
        kinds("open `src/main.rs`, line 12"),
        [Kind::Path, Kind::Number]
    );
    assert_eq!(
        kinds("who wrote parse_args on 2026-11-29 for Alice?"),
        [Kind::Code, Kind::Date, Kind::Name]
    );
    assert_eq!(
        kinds("say \"good morning\" to https://example.org/a"),
        [Kind::Quoted, Kind::Url]
    );
    assert_eq!(kinds("this and/or that, e.g. here"), [] as [Kind; 0]);
    assert_eq!(kinds("don't touch it, it's Alice's"), [Kind::Name]);
}

#[test]
fn only_what_holds_for_ever_and_for_everybody_is_timeless() {
    assert!(is_timeless(
        "A farmer has 17 sheep and all but 9 die. How many are left?"
    ));
    assert!(is_timeless("What is the capital of France?"));
    for text in [
        "What is the weather in Paris?",
        "What's my name?",
        "What did you just say?",
        "How many files are in this folder?",
        "Who is the president now?",
        "Continue.",
    ] {
        assert!(!is_timeless(text), "{text}");
    }
}

#[test]
fn answers_agree_when_their_values_do() {
    let asked = "How many lines does README.md have?";
    assert!(agrees(
        asked,
        "README.md has 90 lines.",
        "There are 90 lines in README.md."
    ));
    assert!(agrees(
        asked,
        "It has 1,090 lines.",
        "README.md has 1090 lines"
    ));
    assert!(!agrees(
        asked,
        "README.md has 90 lines.",
        "README.md has 91 lines."
    ));
    assert!(!agrees(
        asked,
        "README.md has 90 lines.",
        "README.md has not 90 lines."
    ));
    assert!(!agrees(
        asked,
        "README.md has 90 lines.",
        "README.md has 90 lines and 4 words."
    ));
    assert!(!agrees(
        "Is it safe?",
        "Yes, it is safe.",
        "No, it is not safe."
    ));
}

#[test]
fn parts_of_a_text_are_found_where_they_stand() {
    let text = "  a 90 b\nversion = \"1.54.0\" # x7\n\n3,000 end\n";
    assert_eq!(numbers(text).collect::<Vec<_>>(), ["90", "1.54.0", "3,000"]);
    let of = |extract: Extract| extract.of(text);
    assert_eq!(of(Extract::Line(0)).as_deref(), Some("a 90 b"));
    assert_eq!(of(Extract::Line(2)), None);
    assert_eq!(of(Extract::Line(9)), None);
    assert_eq!(of(Extract::Number(2)).as_deref(), Some("3,000"));
    assert_eq!(of(Extract::Lines).as_deref(), Some("3"));
    let version = Extract::Between {
        before: "version = \"".into(),
        after: "\"".into(),
    };
    assert_eq!(of(version).as_deref(), Some("1.54.0"));
}

#[test]
fn what_may_be_about_something_else_is_asked_of_the_engine_only_at_the_beginning() {
    let is_known = |text, is_first| crate::builtin::find(text, is_first).is_some();
    assert!(is_known("Help!", true) && !is_known("Help!", false));
    assert!(is_known("What is running?", true) && !is_known("What is running?", false));
    assert!(is_known("What did you cost today?", false));
    assert!(!is_known("help me", true));
}
