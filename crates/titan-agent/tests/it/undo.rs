//! Undo and differences: what turns change in files is kept, put back, and told.

use crate::harness::{Rig, SESSION, Setup, is_end, transcript};
use titan_exec::Rule;
use titan_protocol::{
    BlobId, Blobs, Client, ClientError, Decision, Event, FileState, Forget, Journal, Op, Record,
    TurnChanges, TurnId, UndoOutcome, Workbench,
};
use titan_testkit::gate::Gate;
use titan_testkit::workbench::{MemoryWorkbench, Process};

/// A rig that asks about nothing in the workspace.
fn setup(replies: &[&str]) -> Setup {
    let mut setup = Setup::new(replies.iter().copied());
    setup.rules.write = Rule::Allow;
    setup.rules.write_outside = Rule::Allow;
    setup.rules.run = Rule::Allow;
    setup
}

fn write(path: &str, content: &str) -> String {
    format!("call write {{\"path\":{path:?},\"content\":{content:?}}}")
}

fn turn(n: u128) -> TurnId {
    TurnId::from_u128(n)
}

/// Undoes and gives what became of each file, with what is beyond it.
async fn undo(
    rig: &Rig,
    undo: u128,
    of: Option<u128>,
    is_forced: bool,
) -> (Vec<String>, Vec<String>) {
    let op = Op::Undo {
        session: SESSION,
        undo: turn(undo),
        of: of.map(turn),
        is_forced,
    };
    rig.submit(op).await;
    let ended = records(rig)
        .await
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            Event::UndoEnded { files, beyond, .. } => Some((files, beyond)),
            _ => None,
        });
    let (files, beyond) = ended.expect("the undo is told");
    let told = files.iter().map(|file| {
        let outcome = match &file.outcome {
            UndoOutcome::Restored => "restored".to_owned(),
            UndoOutcome::Removed => "removed".to_owned(),
            UndoOutcome::Already => "already".to_owned(),
            UndoOutcome::Refused { why } => format!("refused: {why}"),
            UndoOutcome::Impossible { why } => format!("impossible: {why}"),
        };
        format!("{} {outcome}", file.path.display())
    });
    (told.collect(), beyond)
}

async fn refusal(rig: &Rig, of: Option<u128>) -> String {
    let op = Op::Undo {
        session: SESSION,
        undo: TurnId::new(),
        of: of.map(turn),
        is_forced: false,
    };
    match rig.engine.submit(op).await {
        Err(ClientError::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

async fn records(rig: &Rig) -> Vec<Record> {
    let records = Journal::read(&*rig.store, None, 0, usize::MAX).await;
    records.expect("memory can be read")
}

async fn changes(rig: &Rig, of: Option<u128>) -> TurnChanges {
    let changes = rig.engine.changes(SESSION, of.map(turn)).await;
    changes.expect("it changed files")
}

#[tokio::test]
async fn a_turn_is_undone_and_the_model_is_told() {
    let patch =
        "call apply_patch {\"patch\":\"*** Begin Patch\\n*** Delete File: b.txt\\n*** End Patch\"}";
    let mut rig = setup(&[
        &write("a.txt", "one\n"),
        &write("a.txt", "two\n"),
        &write("new/c.txt", "three\n"),
        patch,
        "done",
        "I see",
    ])
    .open()
    .await;
    rig.turn("work", &[]).await;
    assert_eq!(
        rig.workbench.files().len(),
        2,
        "{:?}",
        rig.workbench.files()
    );
    let (files, beyond) = undo(&rig, 50, None, false).await;
    assert_eq!(
        files,
        [
            "/workspace/a.txt restored",
            "/workspace/b.txt restored",
            "/workspace/new/c.txt removed"
        ]
    );
    assert!(beyond.is_empty(), "{beyond:?}");
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("alpha\n"));
    assert_eq!(rig.workbench.content("b.txt").as_deref(), Some("beta\n"));
    assert_eq!(rig.workbench.content("new/c.txt"), None);
    rig.turn("what now?", &[]).await;
    let sent = format!("{:?}", rig.requests().last());
    assert!(
        sent.contains("The person undid what one of the turns above changed"),
        "{sent}"
    );
}

#[tokio::test]
async fn undos_go_further_back_and_an_undo_is_undone_by_its_name() {
    let mut rig = setup(&[&write("a.txt", "1"), "ok", &write("a.txt", "2"), "ok"])
        .open()
        .await;
    rig.turn("first", &[]).await;
    rig.turn("second", &[]).await;
    undo(&rig, 50, None, false).await;
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("1"));
    undo(&rig, 51, None, false).await;
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("alpha\n"));
    assert!(refusal(&rig, None).await.contains("not put back already"));
    undo(&rig, 52, Some(51), false).await;
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("1"));
    // The first turn is done again, so it can be undone again; the second is still undone.
    undo(&rig, 53, None, false).await;
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("alpha\n"));
}

#[tokio::test]
async fn the_same_undo_sent_twice_is_done_once() {
    let mut rig = setup(&[&write("a.txt", "1"), "ok", &write("b.txt", "2"), "ok"])
        .open()
        .await;
    rig.turn("first", &[]).await;
    rig.turn("second", &[]).await;
    undo(&rig, 50, None, false).await;
    let before = rig.last().await;
    undo(&rig, 50, None, false).await;
    assert_eq!(rig.last().await, before);
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("1"));
}

#[tokio::test]
async fn what_was_changed_since_is_left_alone_unless_forced() {
    let mut rig = setup(&[
        &write("a.txt", "mine"),
        &write("b.txt", "mine too"),
        "ok",
        "ok",
    ])
    .open()
    .await;
    rig.turn("work", &[]).await;
    let by_hand = rig.workbench.clone().file("a.txt", "the person's own");
    let (files, _) = undo(&rig, 50, None, false).await;
    assert_eq!(
        files,
        [
            "/workspace/a.txt refused: it was changed since",
            "/workspace/b.txt restored"
        ]
    );
    assert_eq!(
        by_hand.content("a.txt").as_deref(),
        Some("the person's own")
    );
    let (files, _) = undo(&rig, 51, Some(1), true).await;
    assert_eq!(
        files,
        ["/workspace/a.txt restored", "/workspace/b.txt already"]
    );
    assert_eq!(by_hand.content("a.txt").as_deref(), Some("alpha\n"));
    // What was overwritten by force is kept as well.
    undo(&rig, 52, Some(51), false).await;
    assert_eq!(
        by_hand.content("a.txt").as_deref(),
        Some("the person's own")
    );
}

#[tokio::test]
async fn what_somebody_changed_between_two_writes_of_a_turn_is_not_lost() {
    let replies = [
        &write("a.txt", "one"),
        "gate hold\ntext so far\ncall write {\"path\":\"a.txt\",\"content\":\"two\"}",
        "ok",
    ];
    let mut rig = setup(&replies).open().await;
    let gate = rig.gate("hold");
    rig.say("work").await;
    gate.reached().await;
    let by_hand = rig.workbench.clone().file("a.txt", "the person's own");
    gate.open();
    rig.read(0, &[], is_end).await;
    assert_eq!(by_hand.content("a.txt").as_deref(), Some("two"));
    let (files, _) = undo(&rig, 50, None, false).await;
    let mixed = "/workspace/a.txt refused: somebody else changed it too while the turn ran";
    assert_eq!(files, [mixed]);
    let kept = Blobs::get(&*rig.store, &BlobId::of(b"the person's own")).await;
    assert!(kept.expect("memory can be read").is_some());
}

/// A workbench whose `sh` changes files behind the engine's back.
fn with_program(script: impl Fn(MemoryWorkbench) + Send + Sync + 'static) -> MemoryWorkbench {
    let workbench = MemoryWorkbench::new()
        .file("a.txt", "alpha\n")
        .file("b.txt", "beta\n")
        .file("same.txt", "same\n");
    let inner = workbench.clone();
    workbench.program("sh", move |_| {
        script(inner.clone());
        Process::exits(0)
    })
}

#[tokio::test]
async fn what_a_program_changed_is_undone() {
    let mut setup = setup(&["call shell {\"script\":\"make\"}", "ok"]);
    setup.workbench = with_program(|files| {
        let files = files.file("a.txt", "built\n").file("out/new.o", "object");
        futures::executor::block_on(files.remove("/workspace/b.txt".as_ref()))
            .expect("it is there");
    });
    let mut rig = setup.open().await;
    let text = transcript(&rig.turn("build", &[]).await);
    assert_eq!(text.matches("file_changed").count(), 3, "{text}");
    assert!(
        text.find("file_changed") < text.find("tool_call_ended"),
        "{text}"
    );
    let (files, beyond) = undo(&rig, 50, None, false).await;
    assert_eq!(
        files,
        [
            "/workspace/a.txt restored",
            "/workspace/b.txt restored",
            "/workspace/out/new.o removed"
        ]
    );
    assert_eq!(beyond.len(), 1, "{beyond:?}");
    assert!(beyond[0].contains("files that git ignores"), "{beyond:?}");
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("alpha\n"));
    assert_eq!(rig.workbench.content("b.txt").as_deref(), Some("beta\n"));
}

#[tokio::test]
async fn what_the_person_changed_before_a_program_is_not_its_doing() {
    let mut setup = setup(&[
        "call shell {\"script\":\"one\"}",
        "ok",
        "call shell {\"script\":\"two\"}",
        "ok",
    ]);
    setup.workbench = with_program(|_| {});
    let mut rig = setup.open().await;
    rig.turn("one", &[]).await;
    let _by_hand = rig.workbench.clone().file("a.txt", "the person's");
    let text = transcript(&rig.turn("two", &[]).await);
    assert!(!text.contains("file_changed"), "{text}");
    assert!(refusal(&rig, Some(2)).await.contains("changed no files"));
}

#[tokio::test]
async fn what_a_broken_off_program_changed_is_undone_too() {
    let gate = Gate::new();
    let mut setup = setup(&["call shell {\"script\":\"make\"}", "unused"]);
    let workbench = MemoryWorkbench::new().file("a.txt", "alpha\n");
    let (inner, held) = (workbench.clone(), gate.clone());
    setup.workbench = workbench.program("sh", move |_| {
        let _changed = inner.clone().file("a.txt", "half");
        Process::exits(0).hold(&held).hangs()
    });
    let mut rig = setup.open().await;
    rig.say("build").await;
    gate.reached().await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    rig.read(0, &[], is_end).await;
    let (files, _) = undo(&rig, 50, None, false).await;
    assert_eq!(files, ["/workspace/a.txt restored"]);
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("alpha\n"));
}

#[tokio::test]
async fn what_is_too_large_is_said_before_and_after() {
    let mut setup = setup(&[
        "call shell {\"script\":\"make\"}",
        "ok",
        "call shell {\"script\":\"make\"}",
        "ok",
    ]);
    let workbench = with_program(|files| drop(files.file("large.bin", "small now")));
    setup.workbench = workbench.file("large.bin", vec![0; (4 << 20) + 1]);
    let mut rig = setup.open().await;
    let text = transcript(&rig.turn("build", &[]).await);
    assert!(
        text.contains("notice Info \"Undo does not cover what programs do to"),
        "{text}"
    );
    let (files, _) = undo(&rig, 50, None, false).await;
    assert_eq!(
        files,
        ["/workspace/large.bin impossible: what was there was not kept: it was larger than 4 MiB"]
    );
    let text = transcript(&rig.turn("again", &[]).await);
    assert!(!text.contains("notice"), "{text}");
}

#[tokio::test]
async fn what_no_undo_takes_back_is_named() {
    let mut rig = setup(&[
        &write("a.txt", "1"),
        &write("/elsewhere/x", "2"),
        "call remember {\"text\":\"likes tea\"}",
        "call fetch {\"url\":\"https://example.org/\"}",
        "ok",
    ])
    .open()
    .await;
    rig.turn("work and fetch https://example.org/", &[Decision::Deny; 4])
        .await;
    let (files, beyond) = undo(&rig, 50, None, false).await;
    assert_eq!(files, ["/elsewhere/x removed", "/workspace/a.txt restored"]);
    let beyond = beyond.join("\n");
    assert!(beyond.contains("requests to example.org:443"), "{beyond}");
    assert!(!beyond.contains("/elsewhere/x"), "{beyond}");
}

#[tokio::test]
async fn what_was_denied_is_not_named() {
    let mut setup = setup(&[
        "call shell {\"script\":\"make\"}",
        &write("a.txt", "1"),
        "ok",
    ]);
    setup.workbench = with_program(|_| {});
    setup.rules.run = Rule::Ask;
    let mut rig = setup.open().await;
    rig.turn("work", &[Decision::Deny]).await;
    let (_, beyond) = undo(&rig, 50, None, false).await;
    assert!(beyond.is_empty(), "{beyond:?}");
}

#[tokio::test]
async fn an_undo_is_refused_while_a_turn_runs() {
    let mut rig = setup(&["gate hold\ntext late\n"]).open().await;
    let gate = rig.gate("hold");
    rig.say("wait").await;
    gate.reached().await;
    assert!(refusal(&rig, None).await.contains("A turn runs"));
    gate.open();
    rig.read(0, &[], is_end).await;
}

#[tokio::test]
async fn an_undo_that_was_broken_off_is_told_and_finished_under_its_own_name() {
    let mut rig = setup(&[&write("a.txt", "1"), &write("b.txt", "2"), "ok", "noted"])
        .open()
        .await;
    rig.turn("work", &[]).await;
    // What an engine leaves that ends between the two files.
    let changed = |path: &str, before: &str, after: &str| {
        let state = |text: &str| FileState::File {
            content: BlobId::of(text.as_bytes()),
            mode: Some(0o644),
        };
        Event::FileChanged {
            path: path.into(),
            before: state(before),
            after: state(after),
        }
    };
    let intended = vec![
        Event::UndoStarted {
            of: turn(1),
            is_forced: false,
        },
        changed("/workspace/a.txt", "1", "alpha\n"),
        changed("/workspace/b.txt", "2", "beta\n"),
    ];
    for text in ["1", "2"] {
        let kept = Blobs::put(&*rig.store, text.into()).await;
        kept.expect("memory can be written");
    }
    let _half = rig.workbench.clone().file("a.txt", "alpha\n");
    let appended = Journal::append(&*rig.store, SESSION, Some(turn(50)), intended).await;
    appended.expect("memory can be written");
    let mut again = setup(&["noted"]);
    (again.store, again.workbench) = (rig.store.clone(), rig.workbench.clone());
    let mut rig = again.open().await;
    rig.skip_turns(1);
    let text = transcript(&rig.turn("hello", &[]).await);
    assert!(text.contains("An undo was broken off"), "{text}");
    let (files, _) = undo(&rig, 51, None, false).await;
    assert_eq!(
        files,
        ["/workspace/a.txt already", "/workspace/b.txt restored"]
    );
    let undos = records(&rig).await;
    let ended = undos
        .iter()
        .find(|record| matches!(record.event, Event::UndoEnded { .. }));
    assert_eq!(ended.and_then(|record| record.turn), Some(turn(50)));
    undo(&rig, 52, Some(50), false).await;
    assert_eq!(rig.workbench.content("a.txt").as_deref(), Some("1"));
    assert_eq!(rig.workbench.content("b.txt").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_difference_shows_what_a_turn_changed_even_after_later_ones() {
    let mut rig = setup(&[
        &write("a.txt", "one\n"),
        &write("c.txt", "new\n"),
        "ok",
        &write("a.txt", "two\n"),
        "ok",
    ])
    .open()
    .await;
    rig.turn("first", &[]).await;
    rig.turn("second", &[]).await;
    let first = changes(&rig, Some(1)).await;
    let told: Vec<String> = first
        .files
        .iter()
        .map(|file| {
            format!(
                "{} {} {:?}\n{}",
                file.what,
                file.path.display(),
                file.notes,
                file.diff
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "changed /workspace/a.txt []\n@@ -1 +1 @@\n-alpha\n+one\n",
            "made /workspace/c.txt []\n@@ -0,0 +1 @@\n+new\n"
        ]
    );
    let last = changes(&rig, None).await;
    assert_eq!(last.turn, turn(2));
    assert_eq!(last.files[0].diff, "@@ -1 +1 @@\n-one\n+two\n");
    let _by_hand = rig.workbench.clone().file("a.txt", "three\n");
    let last = changes(&rig, None).await;
    assert!(
        last.files[0].notes[0].contains("changed again since"),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_difference_is_bounded_and_says_so() {
    let large: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let mut setup = setup(&[&write("a.txt", "short\n"), &write("b.txt", "short\n"), "ok"]);
    let binary = vec![0_u8, 159, 146, 150];
    setup.workbench = MemoryWorkbench::new()
        .file("a.txt", large)
        .file("b.txt", binary);
    let mut rig = setup.open().await;
    rig.turn("work", &[]).await;
    let changes = changes(&rig, None).await;
    assert!(changes.files[0].diff.len() <= 64 << 10);
    assert!(
        changes.files[0].notes[0].starts_with("only "),
        "{:?}",
        changes.files[0].notes
    );
    assert_eq!(changes.files[1].notes, ["not compared: it is not text"]);
}

#[tokio::test]
async fn what_a_forgotten_turn_wrote_is_gone_with_its_undo() {
    let mut rig = setup(&[&write("a.txt", "needle 4711"), "ok", "ok"])
        .open()
        .await;
    rig.turn("write it", &[]).await;
    undo(&rig, 50, None, false).await;
    let kept = BlobId::of(b"needle 4711");
    let blob = Blobs::get(&*rig.store, &kept)
        .await
        .expect("memory can be read");
    assert!(blob.is_some(), "the undo keeps what it overwrites");
    let what = Forget::Turn {
        session: SESSION,
        turn: turn(1),
    };
    rig.submit(Op::Forget { what }).await;
    let blob = Blobs::get(&*rig.store, &kept)
        .await
        .expect("memory can be read");
    assert_eq!(blob, None);
    let all = format!("{:?}", records(&rig).await);
    assert!(!all.contains("4711") && !all.contains("a.txt"), "{all}");
}
