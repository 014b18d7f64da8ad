//! Turns as they are in the journal, and what becomes of them.

use super::rig::{Answered, Model, Rig, tool};
use crate::plan::remark;
use crate::words::tokens;
use crate::{Config, Promotion};
use serde_json::{Value, json};
use std::sync::Arc;
use titan_protocol::{Forget, Judgement, Projection, ReflexState, Shortcut};

pub(super) const PROVED: Config = Config {
    promotion: Promotion::Proved,
    agreements_min: 2,
    sample_every: 0,
    written_daily_max: 3,
};

pub(super) fn file_of(text: &str) -> String {
    let tokens = tokens(text).expect("it is short");
    let file = tokens
        .iter()
        .find(|token| token.is_value() || token.text == "Makefile");
    file.expect("it names a file").text.clone()
}

fn count(text: &str) -> Vec<(&'static str, Value)> {
    vec![(
        "shell",
        json!({ "script": format!("wc -l {}", file_of(text)) }),
    )]
}

fn number(outcomes: &[String]) -> &str {
    outcomes[0].split(' ').next().expect("a number")
}

/// Counts lines, and says so in its own words.
const COUNTS: Model = |text| {
    (count(text), |text, outcomes| match text.len() % 2 {
        0 => format!("{} has {} lines.", file_of(text), number(outcomes)),
        _ => format!("There are {} lines in {}.", number(outcomes), file_of(text)),
    })
};

const WRONG: Model = |text| {
    (count(text), |text, _| {
        format!("{} has 1 lines.", file_of(text))
    })
};
pub(super) const ASKED_IN_VAIN: Model = |text| panic!("the model was asked {text:?}");

pub(super) fn reflex(text: &str) -> Answered {
    Answered::Reflex(text.to_owned())
}

/// A rig in which counting lines was asked often enough.
async fn taught(config: Config) -> Rig {
    let mut rig = Rig::new(config).await;
    for text in [
        "How many lines does README.md have?",
        "How many lines does src/main.rs have?",
        "How many lines does notes.txt have?",
        "How many lines does Cargo.toml have?",
    ] {
        assert!(matches!(rig.ask(text, COUNTS).await, Answered::Model(_)));
    }
    rig
}

#[tokio::test]
async fn what_was_asked_again_and_again_is_answered_without_the_model() {
    let mut rig = taught(PROVED).await;
    let learned = rig.learned().await;
    assert_eq!(
        (learned.state, learned.agreements),
        (ReflexState::Promoted, 2),
        "{learned:#?}"
    );
    rig.files.insert("src/lib.rs", "4,711");
    let answered = rig
        .ask("How many lines does src/lib.rs have?", ASKED_IN_VAIN)
        .await;
    assert_eq!(answered, reflex("There are 4,711 lines in src/lib.rs."));
    let learned = rig.learned().await;
    assert_eq!((learned.hits, learned.saved_ms), (1, 0));
}

#[tokio::test]
async fn other_words_and_other_values_are_known_and_a_near_miss_is_not() {
    let mut rig = taught(PROVED).await;
    for text in [
        "What is the number of lines in README.md?",
        "Tell me how many lines are in README.md, please",
        "count the lines of README.md",
    ] {
        let answered = rig.ask(text, COUNTS).await;
        assert_eq!(
            answered,
            reflex("There are 90 lines in README.md."),
            "{text}"
        );
    }
    for text in [
        "How many words does README.md have?",
        "How many lines does README.md not have?",
        "How many lines did README.md have before?",
        "Why does README.md have so many lines?",
        "How many lines does README.md have, and notes.txt?",
        "Delete the lines of README.md",
        "How many lines does README.md have? Delete it if more than 100.",
    ] {
        assert!(
            matches!(rig.ask(text, COUNTS).await, Answered::Model(_)),
            "{text}"
        );
    }
}

#[tokio::test]
async fn by_default_its_owner_is_asked_and_nothing_answers_before() {
    let mut rig = taught(Config {
        sample_every: 0,
        ..Config::default()
    })
    .await;
    let learned = rig.learned().await;
    assert_eq!(learned.state, ReflexState::Proposed);
    let proposal = rig.proposal("How many lines does README.md have?");
    assert!(proposal.is_some_and(|text| text.contains(&format!("promote {}", learned.name))));
    let again = rig.proposal("How many lines does README.md have?");
    assert_eq!(again, None, "once is enough");
    assert!(matches!(
        rig.ask("How many lines does README.md have?", COUNTS).await,
        Answered::Model(_)
    ));
    rig.reflexes
        .judge(&learned.name, Judgement::Promote)
        .await
        .expect("it can be");
    let answered = rig
        .ask("How many lines does README.md have?", ASKED_IN_VAIN)
        .await;
    assert_eq!(answered, reflex("There are 90 lines in README.md."));
    rig.reflexes
        .judge(&learned.name, Judgement::Demote)
        .await
        .expect("it can be");
    assert!(matches!(
        rig.ask("How many lines does README.md have?", COUNTS).await,
        Answered::Model(_)
    ));
}

#[tokio::test]
async fn m18_a_reflex_answers_only_after_it_agreed_on_turns_it_was_not_built_from() {
    let mut rig = Rig::new(PROVED).await;
    rig.ask("How many lines does README.md have?", COUNTS).await;
    assert_eq!(rig.n_learned().await, 0, "one turn is no pattern");
    rig.ask("How many lines does src/main.rs have?", COUNTS)
        .await;
    assert_eq!(
        rig.learned().await.state,
        ReflexState::Shadow,
        "it agrees with what it was built from"
    );
    rig.ask("How many lines does notes.txt have?", COUNTS).await;
    let learned = rig.learned().await;
    assert_eq!(
        (learned.state, learned.agreements),
        (ReflexState::Shadow, 1)
    );
    rig.ask("How many lines does Cargo.toml have?", COUNTS)
        .await;
    assert_eq!(rig.learned().await.state, ReflexState::Promoted);
}

#[tokio::test]
async fn m18_the_first_answer_that_differs_ends_it_for_good() {
    let mut rig = taught(Config {
        sample_every: 2,
        ..PROVED
    })
    .await;
    let text = "How many lines does README.md have?";
    assert_eq!(
        rig.ask(text, ASKED_IN_VAIN).await,
        reflex("There are 90 lines in README.md.")
    );
    // Every second question goes to the model, to see whether the reflex still holds.
    let answered = rig.ask(text, WRONG).await;
    assert_eq!(
        answered,
        Answered::Model("README.md has 1 lines.".to_owned())
    );
    let learned = rig.learned().await;
    assert_eq!(learned.state, ReflexState::Demoted);
    let last = learned.proof.last().expect("it says which");
    assert!(
        last.contains("90 lines") && last.contains("1 lines"),
        "{last}"
    );
    for _ in 0..6 {
        assert!(matches!(rig.ask(text, COUNTS).await, Answered::Model(_)));
    }
    assert_eq!(
        rig.learned().await.state,
        ReflexState::Demoted,
        "nothing but its owner brings it back"
    );
}

#[tokio::test]
async fn m18_a_model_that_concludes_something_is_not_replaced() {
    const CONCLUDES: Model = |text| {
        (count(text), |text, outcomes| {
            let is_long = number(outcomes).len() > 2;
            format!(
                "{} is {} to read.",
                file_of(text),
                if is_long {
                    "far too long and tedious"
                } else {
                    "short and pleasant"
                }
            )
        })
    };
    let mut rig = Rig::new(PROVED).await;
    for file in ["README.md", "src/main.rs", "notes.txt", "Cargo.toml"] {
        rig.ask(&format!("Is {file} a nice read?"), CONCLUDES).await;
    }
    assert_eq!(rig.n_learned().await, 0);
}

#[tokio::test]
async fn what_a_program_says_when_it_fails_is_no_answer() {
    let mut rig = taught(PROVED).await;
    let answered = rig
        .ask("How many lines does gone.txt have?", |text| {
            (count(text), |_, _| "There is no such file.".to_owned())
        })
        .await;
    assert_eq!(
        answered,
        Answered::Model("There is no such file.".to_owned()),
        "error 2 is no count of lines"
    );
    assert_eq!(rig.learned().await.state, ReflexState::Promoted);
}

#[test]
fn a_remark_is_the_same_for_other_numbers_and_another_for_another_status() {
    for (outcome, said) in [
        ("a\n[1 line in all]", Some("# line in all")),
        ("a\nb\n[2 lines in all]\n", Some("# line in all")),
        ("wc: x\n[exit status 1]", Some("exit status 1")),
        ("[package]\nname", None),
        ("", None),
    ] {
        assert_eq!(remark(outcome).as_deref(), said, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_reflex_whose_tool_has_changed_does_not_answer_and_is_demoted() {
    let mut rig = taught(PROVED).await;
    rig.tools = [tool("shell", "runs otherwise")].into();
    assert!(matches!(
        rig.ask("How many lines does README.md have?", COUNTS).await,
        Answered::Model(_)
    ));
    let learned = rig.learned().await;
    assert_eq!(
        (learned.state, learned.because.as_str()),
        (ReflexState::Demoted, "a tool that it calls has changed")
    );
    // One whose code is another, though it says the same of itself.
    let mut rig = taught(PROVED).await;
    rig.versions = Arc::new([("shell".to_owned(), "2".to_owned())].into());
    rig.ask("How many lines does README.md have?", COUNTS).await;
    assert_eq!(rig.learned().await.state, ReflexState::Demoted);
}

#[tokio::test]
async fn what_ended_with_its_tool_is_learned_anew_as_another_version() {
    let mut rig = taught(PROVED).await;
    rig.tools = [tool("read", "reads")].into();
    let text = "How many lines does README.md have?";
    assert!(matches!(rig.ask(text, COUNTS).await, Answered::Model(_)));
    let learned = rig.learned().await;
    assert_eq!(
        learned.state,
        ReflexState::Promoted,
        "a tool that is not on offer has not changed"
    );
    rig.tools = [tool("shell", "runs otherwise")].into();
    // Two to build it from, two to prove it.
    for _ in 0..4 {
        assert!(matches!(rig.ask(text, COUNTS).await, Answered::Model(_)));
    }
    let learned = rig.learned().await;
    assert_eq!(
        (learned.state, learned.version),
        (ReflexState::Promoted, 2),
        "{learned:#?}"
    );
    assert!(matches!(
        rig.ask(text, ASKED_IN_VAIN).await,
        Answered::Reflex(_)
    ));
}

#[tokio::test]
async fn the_model_is_asked_now_and_then_also_by_programs_that_ask_once() {
    let mut rig = taught(Config {
        sample_every: 3,
        ..PROVED
    })
    .await;
    let text = "How many lines does README.md have?";
    let mut by_model = Vec::new();
    for _ in 0..6 {
        rig.reopen().await;
        by_model.push(matches!(rig.ask(text, COUNTS).await, Answered::Model(_)));
    }
    assert_eq!(by_model, [false, false, true, false, false, true]);
}

#[tokio::test]
async fn p14_what_was_learned_in_one_place_answers_in_no_other() {
    let mut rig = taught(PROVED).await;
    rig.workspace = "/elsewhere".into();
    assert!(matches!(
        rig.ask("How many lines does README.md have?", COUNTS).await,
        Answered::Model(_)
    ));
    // What the model does there in the same way is another proof, and it holds everywhere.
    let answered = rig
        .ask("How many lines does README.md have?", ASKED_IN_VAIN)
        .await;
    assert_eq!(answered, reflex("There are 90 lines in README.md."));
    // Another home is another person's.
    let mut other = Rig::new(PROVED).await;
    assert!(matches!(
        other
            .ask("How many lines does README.md have?", COUNTS)
            .await,
        Answered::Model(_)
    ));
}

#[tokio::test]
async fn a_value_that_a_shell_would_read_is_left_to_the_model() {
    let mut rig = taught(PROVED).await;
    for file in ["`a;rm.md`", "\"$(id).md\"", "`--help.md`"] {
        let text = format!("How many lines does {file} have?");
        assert!(
            matches!(rig.ask(&text, COUNTS).await, Answered::Model(_)),
            "{file}"
        );
    }
}

#[tokio::test]
async fn what_was_learned_is_there_after_a_restart_and_goes_on() {
    let mut rig = Rig::new(PROVED).await;
    for file in ["README.md", "src/main.rs", "notes.txt", "Cargo.toml"] {
        rig.reopen().await;
        rig.ask(&format!("How many lines does {file} have?"), COUNTS)
            .await;
    }
    rig.reopen().await;
    assert_eq!(rig.learned().await.state, ReflexState::Promoted);
    let answered = rig
        .ask("How many lines does README.md have?", ASKED_IN_VAIN)
        .await;
    assert_eq!(answered, reflex("There are 90 lines in README.md."));
}

#[tokio::test]
async fn what_is_forgotten_is_gone_from_what_was_learned() {
    let mut rig = taught(PROVED).await;
    let session = rig.last_session();
    rig.reflexes
        .forget(&Forget::Session { session })
        .await
        .expect("forgotten");
    assert_eq!(rig.n_learned().await, 1, "it was not built from this one");
    let quoted = format!("{:?}", rig.learned().await);
    assert!(
        !quoted.contains("Cargo.toml"),
        "its proof quotes it: {quoted}"
    );
    for n in 1..=3 {
        let session = titan_protocol::SessionId::from_u128(n);
        rig.reflexes
            .forget(&Forget::Session { session })
            .await
            .expect("forgotten");
    }
    assert_eq!(rig.n_learned().await, 0);
    rig.reopen().await;
    assert_eq!(rig.n_learned().await, 0);
    rig.ask("How many lines does README.md have?", COUNTS).await;
    assert_eq!(
        rig.n_learned().await,
        0,
        "no turn is left that it could be built with"
    );
}

const RIDDLE: &str = "A farmer has 17 sheep and all but 9 die. How many are left?";
const THINKS: Model = |_| (Vec::new(), |_, _| "9 sheep are left.".to_owned());

#[tokio::test]
async fn an_answer_that_depends_on_its_question_alone_is_kept() {
    let mut rig = Rig::new(PROVED).await;
    assert!(matches!(rig.ask(RIDDLE, THINKS).await, Answered::Model(_)));
    assert_eq!(
        rig.ask(RIDDLE, ASKED_IN_VAIN).await,
        reflex("9 sheep are left.")
    );
    for (a, b) in [("17", "18"), ("17", "17!"), ("all but", "all for")] {
        let other = RIDDLE.replace(a, b);
        assert!(
            matches!(rig.ask(&other, THINKS).await, Answered::Model(_)),
            "{other}"
        );
    }
    let other = RIDDLE.replace("17", "19");
    assert!(
        matches!(rig.ask(&other, THINKS).await, Answered::Model(_)),
        "another number is another question"
    );
}

#[tokio::test]
async fn whether_another_answer_may_be_kept_is_for_a_person_to_say() {
    let mut rig = Rig::new(PROVED).await;
    let text = "What is the capital of France?";
    let says: Model = |_| {
        (Vec::new(), |_, _| {
            "The capital of France is Paris.".to_owned()
        })
    };
    for _ in 0..3 {
        assert!(matches!(rig.ask(text, says).await, Answered::Model(_)));
    }
    let learned = rig.learned().await;
    assert_eq!(
        (learned.state, learned.agreements),
        (ReflexState::Proposed, 2)
    );
    rig.reflexes
        .judge(&learned.name, Judgement::Promote)
        .await
        .expect("it can be");
    assert_eq!(
        rig.ask(text, ASKED_IN_VAIN).await,
        reflex("The capital of France is Paris.")
    );
}

#[tokio::test]
async fn what_is_personal_or_of_today_is_never_kept() {
    let mut rig = Rig::new(PROVED).await;
    for text in [
        "What's my favourite colour?",
        "What is the weather in Paris?",
        "Who won today?",
        "Explain this file",
    ] {
        rig.ask(text, THINKS).await;
        assert!(
            matches!(rig.ask(text, THINKS).await, Answered::Model(_)),
            "{text}"
        );
    }
    assert_eq!(rig.n_learned().await, 0);
}

#[tokio::test]
async fn a_turn_that_depends_on_the_words_of_a_file_follows_the_file() {
    const NAMES: Model = |text| {
        let calls = vec![(
            "shell",
            json!({ "script": format!("cat {}", file_of(text)) }),
        )];
        (calls, |text, outcomes| {
            let name = outcomes[0].split('"').nth(1).expect("a name");
            format!("The name in {} is `{name}`.", file_of(text))
        })
    };
    let mut rig = Rig::new(PROVED).await;
    for file in ["README.md", "src/main.rs", "notes.txt", "Cargo.toml"] {
        rig.ask(&format!("What name does {file} give?"), NAMES)
            .await;
    }
    let answered = rig
        .ask("What name does src/LIB.rs give?", ASKED_IN_VAIN)
        .await;
    assert_eq!(answered, reflex("The name in src/LIB.rs is `src/lib.rs`."));
}

#[tokio::test]
async fn the_engine_knows_what_it_is_asked_about_itself() {
    let mut rig = Rig::new(Config {
        promotion: Promotion::Never,
        ..PROVED
    })
    .await;
    assert_eq!(
        rig.ask("Please list my sessions", ASKED_IN_VAIN).await,
        reflex("Sessions")
    );
    assert_eq!(
        rig.ask("How much did I spend today?", ASKED_IN_VAIN).await,
        reflex("Cost")
    );
    assert!(matches!(
        rig.ask("How much did I spend on shoes today?", THINKS)
            .await,
        Answered::Model(_)
    ));
}
