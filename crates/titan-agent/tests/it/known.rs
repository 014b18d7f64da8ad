//! What a model is shown about the files that are open and what a question names, and what that makes of a turn.

use crate::harness::{Rig, Setup};
use titan_agent::PromptSize;
use titan_exec::{Rule, Rules};
use titan_protocol::{Decision, Event, Message, Pack, PackKind, PackLine, PackPart, Taint};
use titan_testkit::packs::ReadyPacks;

fn pack(path: &str) -> Pack {
    let line = PackLine {
        text: "2026-01-02 Ann: Fix the end".into(),
        source: "commit 0123456789".into(),
    };
    let part = PackPart {
        kind: PackKind::Bugs,
        lines: vec![line],
        gap: None,
    };
    Pack {
        path: path.into(),
        parts: vec![part],
        ..Pack::default()
    }
}

async fn rig(packs: &ReadyPacks, replies: &[&str]) -> Rig {
    let rules = Rules {
        network: Rule::Allow,
        write: Rule::Allow,
        ..Rules::default()
    };
    Setup {
        packs: packs.clone(),
        prompt_size: PromptSize::Full,
        rules,
        ..Setup::new(replies.iter().copied())
    }
    .open()
    .await
}

#[tokio::test]
async fn a_model_reads_what_is_known_of_open_files_of_its_workspace_without_a_call() {
    let packs = ReadyPacks::none()
        .with(pack("/workspace/a.txt"))
        .with(pack("/elsewhere/b.txt"));
    let mut rig = rig(&packs, &["hello"]).await;
    let records = rig.turn("hi", &[]).await;
    let shown = rig.model.requests()[0].messages[0].text();
    assert!(
        shown.contains(
            "a.txt, what was wrong in it:\n- 2026-01-02 Ann: Fix the end (commit 0123456789)\n"
        ),
        "{shown}"
    );
    assert!(!shown.contains("b.txt, what"), "{shown}");
    let marks: Vec<Taint> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::ContextAssembled { taint, .. } => Some(*taint),
            _ => None,
        })
        .collect();
    assert_eq!(marks, [Taint::BOTH]);
}

#[tokio::test]
async fn what_a_question_names_is_told_beside_it_and_what_was_said_before_stays_as_it_was() {
    for size in [PromptSize::Full, PromptSize::Small] {
        let packs = ReadyPacks::none().with_named(pack("/workspace/a.txt"));
        let mut rig = Setup {
            packs: packs.clone(),
            prompt_size: size,
            ..Setup::new(["one", "two", "three"])
        }
        .open()
        .await;
        for said in ["hi", "what is in a.txt?", "and now?"] {
            rig.turn(said, &[]).await;
        }
        let told: Vec<Vec<bool>> = rig
            .model
            .requests()
            .iter()
            .map(|request| {
                let told = |message: &Message| message.text().contains("Fix the end");
                request.messages.iter().map(told).collect()
            })
            .collect();
        let expected = [vec![false], vec![false, false, true], vec![false; 5]];
        assert_eq!(told, expected, "{size:?}");
        let asked = rig.model.requests()[1].messages[2].text();
        assert!(asked.ends_with("what is in a.txt?"), "{asked}");
    }
}

#[tokio::test]
async fn who_wants_nothing_told_unasked_is_told_nothing() {
    let packs = ReadyPacks::none()
        .with(pack("/workspace/a.txt"))
        .with_named(pack("/workspace/b.txt"));
    let mut rig = Setup {
        packs: packs.clone(),
        prompt_size: PromptSize::Full,
        tells_unasked: false,
        ..Setup::new(["one"])
    }
    .open()
    .await;
    rig.turn("what is in b.txt?", &[]).await;
    let shown = &rig.model.requests()[0].messages;
    let is_told = |message: &Message| message.text().contains("Fix the end");
    assert!(!shown.iter().any(is_told), "{shown:?}");
}

#[tokio::test]
async fn x17_what_is_known_of_open_files_is_strangers_words_and_the_persons_data() {
    let asks = async |packs: &ReadyPacks| {
        let call = "call fetch {\"url\":\"https://example.org/\"}";
        let mut rig = rig(packs, &[call, "done"]).await;
        let records = rig.turn("go", &[Decision::Deny]).await;
        records
            .iter()
            .any(|record| matches!(record.event, Event::ApprovalRequested { .. }))
    };
    assert!(!asks(&ReadyPacks::none()).await);
    assert!(!asks(&ReadyPacks::none().with(pack("/elsewhere/b.txt"))).await);
    assert!(asks(&ReadyPacks::none().with(pack("/workspace/a.txt"))).await);
    assert!(asks(&ReadyPacks::none().with_named(pack("/workspace/go"))).await);
}

#[tokio::test]
async fn files_that_a_session_changes_count_as_open() {
    let packs = ReadyPacks::none();
    let call = "call write {\"path\":\"new.txt\",\"content\":\"x\"}";
    let mut rig = rig(&packs, &[call, "done"]).await;
    rig.turn("go", &[]).await;
    assert_eq!(
        *packs.worked_on.lock(),
        [std::path::PathBuf::from("/workspace/new.txt")]
    );
}
