//! Sessions that go on from an earlier turn of another.

use crate::harness::{Rig, SESSION, Setup, is_end, transcript};
use futures::StreamExt;
use titan_protocol::{
    Client, Content, Decision, Event, Forget, Journal, Message, Op, Record, SessionId, SharedPast,
    TurnId, TurnOptions,
};

const BRANCH: SessionId = SessionId::from_u128(2);
const TWIG: SessionId = SessionId::from_u128(3);

fn turn(n: u128) -> TurnId {
    TurnId::from_u128(n)
}

fn branch(session: SessionId, after: u128, into: SessionId) -> Op {
    Op::Branch {
        session,
        after: turn(after),
        into,
    }
}

/// Says something in a session under a turn of this number and waits for the turn's end.
async fn say(rig: &Rig, session: SessionId, n: u128, text: &str) -> Vec<Record> {
    let after = rig.last().await;
    let op = Op::UserTurn {
        session,
        turn: turn(n),
        text: text.to_owned(),
        images: Vec::new(),
        options: TurnOptions {
            is_attended: true,
            ..TurnOptions::default()
        },
    };
    rig.submit(op).await;
    followed(rig, session, after, is_end).await
}

async fn followed(
    rig: &Rig,
    session: SessionId,
    after: u64,
    is_last: impl Fn(&Event) -> bool,
) -> Vec<Record> {
    let mut events = rig.engine.follow(Some(session), after);
    let mut records = Vec::new();
    while let Some(record) = events.next().await {
        records.push(record.expect("the journal can be read"));
        if records.last().is_some_and(|last| is_last(&last.event)) {
            break;
        }
    }
    records
}

/// What the model was shown last, without the surroundings and without what the engine says of branches.
fn shown(rig: &Rig) -> Vec<String> {
    let request = rig.requests().pop().expect("the model was asked");
    let part = |content: &Content| match content {
        Content::Text { text } if text.starts_with("[from the engine") => None,
        Content::Text { text } if text.starts_with("[context]") => None,
        Content::Text { text } => Some(text.trim().to_owned()),
        Content::ToolResult { text, .. } => Some(format!("result {text}")),
        _ => None,
    };
    request
        .messages
        .iter()
        .flat_map(|message: &Message| message.content.iter().filter_map(part))
        .collect()
}

async fn refused(rig: &Rig, op: Op) -> String {
    let refused = rig.engine.submit(op).await;
    refused.expect_err("it is refused").to_string()
}

#[tokio::test]
async fn a_branch_goes_on_from_an_earlier_turn_and_shares_what_came_before_it() {
    let mut rig = Setup::new(["one", "two", "other two", "three"])
        .open()
        .await;
    rig.turn("first", &[]).await;
    rig.turn("second", &[]).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    let records = say(&rig, BRANCH, 11, "another second").await;
    assert_eq!(shown(&rig), ["first", "one", "another second"]);
    let told = format!("{:?}", rig.requests().last());
    assert!(told.contains("Files were not put back"), "{told}");
    assert!(records.iter().all(|record| record.session == BRANCH));
    // The origin goes on as if there were no branch.
    rig.turn("third", &[]).await;
    assert_eq!(shown(&rig), ["first", "one", "second", "two", "third"]);
}

#[tokio::test]
async fn a_branch_is_the_same_after_a_restart_and_to_whoever_follows_it() {
    let setup = Setup::new(["one", "two", "branched"]);
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    rig.turn("first", &[]).await;
    rig.turn("second", &[]).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    say(&rig, BRANCH, 11, "another second").await;
    let mut ends = 0;
    let mut followed_live = Vec::new();
    let mut events = rig.engine.follow(Some(BRANCH), 0);
    while ends < 2 {
        let record = events
            .next()
            .await
            .expect("more comes")
            .expect("it is read");
        ends += usize::from(is_end(&record.event));
        followed_live.push(record);
    }
    let text = transcript(&followed_live);
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("instructed") && !line.starts_with("model_call"))
        .collect();
    assert_eq!(
        kept,
        [
            "session_started /workspace",
            "turn_started \"first\"",
            "text \"one\\n\"",
            "turn_ended completed 0+0",
            "session_branched after 1 shared",
            "turn_started \"another second\"",
            "text \"branched\\n\"",
            "turn_ended completed 0+0",
        ]
    );
    assert!(followed_live.is_sorted_by(|a, b| a.seq < b.seq));
    assert!(followed_live.iter().all(|record| record.session == BRANCH));
    // Somebody who comes back in the middle of the past misses nothing.
    for (idx, record) in followed_live.iter().enumerate() {
        let rest = rig.engine.follow(Some(BRANCH), record.seq);
        let rest: Vec<_> = rest.take(followed_live.len() - idx - 1).collect().await;
        let rest: Vec<Record> = rest.into_iter().map(|it| it.expect("it is read")).collect();
        assert_eq!(rest, followed_live[idx + 1..]);
    }
    drop(rig);
    let mut setup = Setup::new(["three"]);
    setup.store = store;
    let rig = setup.open().await;
    say(&rig, BRANCH, 12, "go on").await;
    assert_eq!(
        shown(&rig),
        ["first", "one", "another second", "branched", "go on"]
    );
}

#[tokio::test]
async fn whoever_follows_a_branch_before_it_begins_is_told_its_past_first() {
    let mut rig = Setup::new(["one"]).open().await;
    rig.turn("first", &[]).await;
    let waiting = followed(&rig, BRANCH, 0, |event| {
        matches!(event, Event::SessionBranched { .. })
    });
    let branching = rig.submit(branch(SESSION, 1, BRANCH));
    let (records, ()) = tokio::join!(waiting, branching);
    let text = transcript(&records);
    assert!(text.starts_with("session_started"), "{text}");
    assert!(
        text.ends_with("session_branched after 1 shared\n"),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_branch_cost_is_counted_once_and_lists_say_what_it_came_from() {
    let replies = ["one\nusage 100 10", "two\nusage 30 3"];
    let mut rig = Setup::new(replies).open().await;
    let records = rig.turn("first", &[]).await;
    let until = records.last().expect("it ended").seq;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    let listed = rig.engine.sessions(10).await.expect("listed");
    let of = |id| {
        let found = listed.iter().find(|summary| summary.session == id);
        found.expect("it is listed").clone()
    };
    assert_eq!((of(BRANCH).title.as_str(), of(BRANCH).turns), ("first", 0));
    say(&rig, BRANCH, 11, "another way").await;
    let listed = rig.engine.sessions(10).await.expect("listed");
    let summary = listed.iter().find(|it| it.session == BRANCH);
    let summary = summary.expect("it is listed");
    let origin = SharedPast {
        session: SESSION,
        until,
    };
    assert_eq!(summary.branch_of, Some(origin));
    assert_eq!(
        (
            summary.title.as_str(),
            summary.turns,
            summary.usage.input_tokens
        ),
        ("another way", 1, 30)
    );
    let costs = rig.engine.costs(0).await.expect("listed");
    assert_eq!((costs[0].calls, costs[0].usage.input_tokens), (2, 130));
}

#[tokio::test]
async fn what_is_forgotten_in_the_origin_is_gone_from_its_branches() {
    let replies = [
        "the needle is 4711",
        "hello",
        "branched",
        "on the twig",
        "who knows",
    ];
    let setup = Setup::new(replies);
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    rig.turn("remember needle 4711", &[]).await;
    rig.turn("hi", &[]).await;
    rig.submit(branch(SESSION, 2, BRANCH)).await;
    say(&rig, BRANCH, 11, "go on").await;
    let title = "about 4711".to_owned();
    rig.submit(Op::Rename {
        session: BRANCH,
        title,
    })
    .await;
    rig.submit(branch(BRANCH, 11, TWIG)).await;
    say(&rig, TWIG, 12, "and on").await;
    let what = Forget::Turn {
        session: SESSION,
        turn: turn(1),
    };
    rig.submit(Op::Forget { what }).await;
    let all = Journal::read(&*store, None, 0, usize::MAX).await;
    assert!(!format!("{all:?}").contains("4711"));
    let listed = rig.engine.sessions(10).await.expect("listed");
    assert!(!format!("{listed:?}").contains("4711"), "{listed:?}");
    say(&rig, TWIG, 13, "what was it?").await;
    assert_eq!(
        shown(&rig),
        [
            "hi",
            "hello",
            "go on",
            "branched",
            "and on",
            "on the twig",
            "what was it?"
        ]
    );
}

#[tokio::test]
async fn a_branch_of_a_session_that_is_forgotten_whole_goes_on_with_its_own() {
    let setup = Setup::new(["one", "branched", "alone"]);
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    rig.turn("first 4711", &[]).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    say(&rig, BRANCH, 11, "go on").await;
    let what = Forget::Session { session: SESSION };
    rig.submit(Op::Forget { what }).await;
    let all = Journal::read(&*store, None, 0, usize::MAX).await;
    assert!(!format!("{all:?}").contains("4711"));
    drop(rig);
    let mut setup = Setup::new(["alone"]);
    setup.store = store;
    let rig = setup.open().await;
    say(&rig, BRANCH, 12, "still there?").await;
    assert_eq!(shown(&rig), ["go on", "branched", "still there?"]);
}

#[tokio::test]
async fn nothing_is_forgotten_under_a_branch_whose_turn_runs() {
    let mut rig = Setup::new(["one", "gate a"]).open().await;
    rig.turn("first", &[]).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    let op = Op::UserTurn {
        session: BRANCH,
        turn: turn(11),
        text: "go on".to_owned(),
        images: Vec::new(),
        options: TurnOptions::default(),
    };
    rig.submit(op).await;
    rig.gate("a").reached().await;
    let what = Forget::Session { session: SESSION };
    let why = refused(&rig, Op::Forget { what }).await;
    assert!(why.contains("A turn runs in"), "{why}");
}

#[tokio::test]
async fn an_undo_in_a_branch_reaches_its_own_turns_alone() {
    let write = |name: &str| format!("call write {{\"path\":\"{name}\",\"content\":\"x\"}}");
    let replies = [write("c"), "done".into(), write("d"), "done".into()];
    let mut rig = Setup::new(replies).open().await;
    rig.turn("write c", &[Decision::Session]).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    let undo = |of: Option<TurnId>| Op::Undo {
        session: BRANCH,
        undo: TurnId::new(),
        of,
        is_forced: false,
    };
    let why = refused(&rig, undo(None)).await;
    assert!(
        why.contains("No turn of this session changed files"),
        "{why}"
    );
    let why = refused(&rig, undo(Some(turn(1)))).await;
    assert!(why.contains("is undone there"), "{why}");
    // What was allowed for the session was not allowed for its branch.
    let op = Op::UserTurn {
        session: BRANCH,
        turn: turn(11),
        text: "write d".to_owned(),
        images: Vec::new(),
        options: TurnOptions {
            is_attended: true,
            ..TurnOptions::default()
        },
    };
    let after = rig.last().await;
    rig.submit(op).await;
    let is_asked = |event: &Event| matches!(event, Event::ApprovalRequested { .. });
    let asked = followed(&rig, BRANCH, after, is_asked).await;
    let Some(Event::ApprovalRequested { approval, .. }) = asked.last().map(|it| &it.event) else {
        panic!("it was not asked: {}", transcript(&asked));
    };
    let decision = Decision::Once;
    rig.submit(Op::Decide {
        approval: *approval,
        decision,
    })
    .await;
    followed(&rig, BRANCH, after, is_end).await;
    rig.submit(undo(None)).await;
    assert_eq!(rig.workbench.content("d"), None);
    assert!(rig.workbench.content("c").is_some());
    // What the shared turn changed can still be looked at here.
    let changes = rig.engine.changes(BRANCH, Some(turn(1))).await;
    assert_eq!(changes.expect("it changed c").files.len(), 1);
}

#[tokio::test]
async fn a_branch_that_makes_no_sense_is_refused_in_words() {
    let mut rig = Setup::new(["one", "gate a", "branched"]).open().await;
    rig.turn("first", &[]).await;
    rig.say("second").await;
    rig.gate("a").reached().await;
    for (op, words) in [
        (branch(SESSION, 9, BRANCH), "no such turn"),
        (branch(SESSION, 2, BRANCH), "still runs"),
        (branch(BRANCH, 1, TWIG), "no such turn"),
        (branch(SESSION, 1, SESSION), "interrupt it or wait"),
    ] {
        let why = refused(&rig, op).await;
        assert!(why.contains(words), "{why}");
    }
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    let begun = |records: Vec<Record>| {
        let is_begun = |record: &&Record| matches!(record.event, Event::SessionBranched { .. });
        records.iter().filter(is_begun).count()
    };
    let all = Journal::read(&*rig.store, Some(BRANCH), 0, 100).await;
    assert_eq!(
        begun(all.expect("memory can be read")),
        1,
        "sent twice, begun once"
    );
    rig.submit(Op::Interrupt { session: SESSION }).await;
    rig.read(0, &[], |event| {
        matches!(event, Event::TurnEnded { outcome, .. } if *outcome == titan_protocol::TurnOutcome::Interrupted)
    })
    .await;
    let why = refused(&rig, branch(SESSION, 2, BRANCH)).await;
    assert!(why.contains("a session of this id already"), "{why}");
    let shared = Forget::Turn {
        session: BRANCH,
        turn: turn(1),
    };
    let why = refused(&rig, Op::Forget { what: shared }).await;
    assert!(why.contains("forget it there"), "{why}");
}

#[tokio::test]
async fn a_branch_is_as_tainted_as_what_it_shares() {
    let replies = [
        "call read {\"path\":\"a.txt\"}",
        "alpha",
        "call remember {\"text\":\"x\"}",
        "asked",
    ];
    let mut rig = Setup::new(replies).open().await;
    rig.turn("read a", &[]).await;
    rig.submit(branch(SESSION, 1, BRANCH)).await;
    let op = Op::UserTurn {
        session: BRANCH,
        turn: turn(11),
        text: "keep it in mind".to_owned(),
        images: Vec::new(),
        options: TurnOptions::default(),
    };
    let after = rig.last().await;
    rig.submit(op).await;
    let text = transcript(&followed(&rig, BRANCH, after, is_end).await);
    assert!(text.contains("approval_requested"), "{text}");
}
