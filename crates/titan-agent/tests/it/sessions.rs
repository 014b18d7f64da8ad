//! What happens from turn to turn: restarts, lists, forgetting, shortening, many sessions.

use crate::harness::{SESSION, Setup, is_end, transcript};
use std::sync::Arc;
use titan_protocol::{
    Blobs, Client, Decision, Event, Forget, Journal, Op, SessionId, Task, TurnId, TurnOptions,
};

#[tokio::test]
async fn a_session_goes_on_after_a_restart() {
    let setup = Setup::new(["call read {\"path\":\"a.txt\"}", "alpha"]);
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    rig.turn("what is in a?", &[]).await;
    drop(rig);

    let mut setup = Setup::new(["still alpha"]);
    setup.store = store;
    let rig = setup.open().await;
    let op = Op::UserTurn {
        session: SESSION,
        turn: TurnId::from_u128(77),
        text: "and now?".into(),
        images: Vec::new(),
        options: TurnOptions::default(),
    };
    let after = rig.last().await;
    rig.engine.submit(op).await.expect("it is accepted");
    rig.read(after, &[], is_end).await;
    let request = rig.requests().remove(0);
    let said: Vec<String> = request
        .messages
        .iter()
        .map(titan_protocol::Message::text)
        .collect();
    assert!(said[0].ends_with("what is in a?"), "{said:?}");
    assert_eq!(said[2..].join("|"), "|alpha\n|and now?", "{said:?}");
}

#[tokio::test]
async fn the_same_turn_sent_twice_starts_once() {
    let rig = Setup::new(["hello", "never said"]).open().await;
    let op = Op::UserTurn {
        session: SESSION,
        turn: TurnId::from_u128(5),
        text: "hi".into(),
        images: Vec::new(),
        options: TurnOptions {
            workspace: Some("/workspace".into()),
            ..TurnOptions::default()
        },
    };
    rig.engine.submit(op.clone()).await.expect("accepted");
    rig.read(0, &[], is_end).await;
    rig.engine.submit(op).await.expect("accepted again");
    assert_eq!(rig.requests().len(), 1);
}

#[tokio::test]
async fn a_turn_that_a_crash_left_open_is_ended_and_said() {
    let setup = Setup::new(["gate a"]);
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    rig.say("hi").await;
    rig.gate("a").reached().await;
    // The engine is gone without a word; only what is stored is left.
    let mut setup = Setup::new(["back again"]);
    setup.store = store;
    let rig = setup.open().await;
    let records = rig.read(0, &[], is_end).await;
    let text = transcript(&records);
    assert!(
        text.contains("turn_ended failed (The engine stopped while this turn ran."),
        "{text}"
    );
    assert!(!rig.engine.sessions(10).await.expect("listed")[0].is_running);
}

#[tokio::test]
async fn sessions_and_costs_are_listed() {
    let mut rig = Setup::new(["hello\nusage 100 20", "again\nusage 50 10"])
        .open()
        .await;
    rig.turn("say hello", &[]).await;
    rig.turn("say it again", &[]).await;
    let sessions = rig.engine.sessions(10).await.expect("listed");
    assert_eq!(sessions.len(), 1);
    assert_eq!(
        (sessions[0].title.as_str(), sessions[0].turns),
        ("say hello", 2)
    );
    let costs = rig.engine.costs(0).await.expect("listed");
    assert_eq!(
        (costs.len(), costs[0].calls, costs[0].usage.input_tokens),
        (1, 2, 150)
    );
    let op = Op::Rename {
        session: SESSION,
        title: "greetings".into(),
    };
    rig.engine.submit(op).await.expect("renamed");
    assert_eq!(
        rig.engine.sessions(10).await.expect("listed")[0].title,
        "greetings"
    );
}

#[tokio::test]
async fn what_is_forgotten_is_gone_from_journal_blobs_and_thread() {
    let secret = "the needle 4711 ".repeat(100);
    let mut setup = Setup::new([
        "call read {\"path\":\"s.txt\"}",
        "I saw needle 4711",
        "hello",
        "who knows",
    ]);
    setup.workbench = titan_testkit::workbench::MemoryWorkbench::new().file("s.txt", secret);
    setup.limits.output_bytes_max = 200;
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    let records = rig.turn("read needle 4711", &[]).await;
    let whole = records.iter().find_map(|record| match &record.event {
        Event::ToolCallEnded { whole, .. } => whole.clone(),
        _ => None,
    });
    let whole = whole.expect("the output was long");
    rig.turn("hi", &[]).await;
    let what = Forget::Turn {
        session: SESSION,
        turn: TurnId::from_u128(1),
    };
    rig.engine
        .submit(Op::Forget { what })
        .await
        .expect("forgotten");
    let all = Journal::read(&*store, None, 0, usize::MAX)
        .await
        .expect("memory can be read");
    assert!(!format!("{all:?}").contains("4711"));
    assert_eq!(
        Blobs::get(&*store, &whole)
            .await
            .expect("memory can be read"),
        None
    );
    rig.turn("what did I say?", &[]).await;
    assert!(!format!("{:?}", rig.requests().last()).contains("4711"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let rig = Setup::new(["unused"]).open().await;
    let say = |text: &str, options: TurnOptions| Op::UserTurn {
        session: SessionId::from_u128(9),
        turn: TurnId::new(),
        text: text.into(),
        images: Vec::new(),
        options,
    };
    let here = TurnOptions {
        workspace: Some("/workspace".into()),
        ..TurnOptions::default()
    };
    let refused = |op: Op| {
        let engine = rig.engine.clone();
        async move {
            engine
                .submit(op)
                .await
                .expect_err("it is refused")
                .to_string()
        }
    };
    assert!(
        refused(say("  \n", here.clone()))
            .await
            .contains("the message is empty")
    );
    assert!(
        refused(say("hi", TurnOptions::default()))
            .await
            .contains("has to name its workspace")
    );
    assert!(
        refused(say(&"x".repeat(2 << 20), here))
            .await
            .contains("at most 1024 KiB")
    );
    assert!(
        refused(Op::Rename {
            session: SESSION,
            title: " ".into()
        })
        .await
        .contains("1 to 200 characters")
    );
    assert!(
        refused(Op::Compact { session: SESSION })
            .await
            .contains("short already")
    );
}

#[tokio::test]
async fn a_long_session_is_shortened_and_says_so() {
    let mut setup = Setup::new((0..12).flat_map(|n| {
        [
            format!(
                "call read {{\"path\":\"long.txt\",\"offset_line\":{}}}",
                n + 1
            ),
            format!("answer {n}"),
        ]
    }));
    let long: String = (0..200)
        .map(|n| format!("line {n} of a long file\n"))
        .collect();
    setup.workbench = titan_testkit::workbench::MemoryWorkbench::new().file("long.txt", long);
    setup.context_tokens_max = 8_000;
    let mut rig = setup.open().await;
    for n in 0..12 {
        rig.turn(&format!("needle {n}"), &[]).await;
    }
    let all = rig
        .read(
            0,
            &[],
            |event| matches!(event, Event::TextDelta { text } if text == "answer 11\n"),
        )
        .await;
    let text = transcript(&all);
    assert!(text.contains("compacted "), "{text}");
    assert!(
        text.contains("was shortened for the model; the full log is kept"),
        "{text}"
    );
    let last = format!("{:?}", rig.requests().last());
    for n in 0..12 {
        assert!(
            last.contains(&format!("needle {n}")),
            "needle {n} is lost: {last}"
        );
    }
}

#[tokio::test]
async fn a_follower_sees_every_record_once_from_wherever_it_begins() {
    let mut rig = Setup::new(["one", "two"]).open().await;
    let first = rig.turn("a", &[]).await;
    rig.turn("b", &[]).await;
    let whole = rig.last().await;
    for after in 0..whole {
        let records = rig.read(after, &[], |_| true).await;
        assert_eq!(records.first().map(|record| record.seq), Some(after + 1));
    }
    assert!(first.len() > 3);
}

#[tokio::test]
async fn a_thousand_sessions_run_side_by_side() {
    let rig = Arc::new(Setup::new((0..1000).map(|_| "hello")).open().await);
    let mut turns = tokio::task::JoinSet::new();
    for n in 0..1000_u128 {
        let rig = rig.clone();
        turns.spawn(async move {
            let session = SessionId::from_u128(1000 + n);
            let options = TurnOptions {
                workspace: Some("/workspace".into()),
                ..TurnOptions::default()
            };
            let op = Op::UserTurn {
                session,
                turn: TurnId::from_u128(n),
                text: "hi".into(),
                images: Vec::new(),
                options,
            };
            rig.engine.submit(op).await.expect("accepted");
            let mut events = rig.engine.follow(Some(session), 0);
            while let Some(record) = futures::StreamExt::next(&mut events).await {
                if is_end(&record.expect("read").event) {
                    return;
                }
            }
        });
    }
    turns.join_all().await;
    assert_eq!(rig.requests().len(), 1000);
    assert_eq!(rig.engine.sessions(2000).await.expect("listed").len(), 1000);
}

#[tokio::test]
async fn a_session_is_named_by_the_utility_model_after_its_first_turn() {
    let mut setup = Setup::new(["four", "\"Sums of two.\"\nusage 30 4"]);
    setup.are_titled = true;
    let mut rig = setup.open().await;
    rig.turn("what is 2 + 2?", &[]).await;
    rig.read(
        0,
        &[],
        |event| matches!(event, Event::SessionTitled { title } if title == "Sums of two"),
    )
    .await;
    let request = rig.requests().remove(1);
    assert_eq!(request.task, Task::Utility);
    assert_eq!(
        request.messages[0].text(),
        "Question: what is 2 + 2?\n\nAnswer: four\n"
    );
    let costs = rig.engine.costs(0).await.expect("listed");
    assert_eq!(costs[0].usage.output_tokens, 4, "it is metered");
}

#[tokio::test]
async fn work_on_code_goes_to_the_model_for_code() {
    for (file, task) in [("Cargo.toml", Task::Code), ("letter.txt", Task::Chat)] {
        let mut setup = Setup::new(["hello"]);
        setup.workbench = titan_testkit::workbench::MemoryWorkbench::new().file(file, "x");
        let mut rig = setup.open().await;
        rig.turn("hi", &[]).await;
        assert_eq!(rig.requests()[0].task, task);
    }
}

#[tokio::test]
async fn the_person_calls_a_tool_by_hand_without_being_asked_and_the_model_reads_of_it_later() {
    let mut rig = Setup::new(["it was written"]).open().await;
    let arguments = serde_json::json!({"path": "c.txt", "content": "x"});
    let op = Op::UserCall {
        session: SESSION,
        turn: TurnId::from_u128(50),
        text: "!write c.txt".into(),
        tool: "write".into(),
        arguments: arguments.as_object().cloned().expect("an object"),
        options: TurnOptions {
            workspace: Some("/workspace".into()),
            ..TurnOptions::default()
        },
    };
    rig.submit(op).await;
    expect_test::expect![[r#"
        session_started /workspace
        turn_started "!write c.txt"
        tool_call_ready c1 write {"path":"c.txt","content":"x"}
        step_decided c1 allow (asked for by the person)
        file_changed /workspace/c.txt absent -> 3ae7d805
        tool_call_ended c1 "made c.txt: 1 lines, 1 bytes"
        turn_ended completed 0+0
    "#]]
    .assert_eq(&transcript(&rig.read(0, &[], is_end).await));
    rig.turn("what did I do?", &[]).await;
    let said = format!("{:?}", rig.requests()[0].messages);
    assert!(
        said.contains("!write c.txt") && said.contains("made c.txt"),
        "{said}"
    );
}

#[tokio::test]
async fn a_session_s_leave_is_still_there_after_a_restart() {
    let write = |name: &str| format!("call write {{\"path\":\"{name}\",\"content\":\"x\"}}");
    let setup = Setup::new([write("c"), "done".to_owned()]);
    let store = setup.store.clone();
    let mut rig = setup.open().await;
    rig.turn("write", &[Decision::Session]).await;
    drop(rig);
    let mut setup = Setup::new([write("d"), "done".to_owned()]);
    setup.store = store;
    let mut rig = setup.open().await;
    rig.skip_turns(1);
    let text = transcript(&rig.turn("write again", &[]).await);
    assert!(!text.contains("approval_requested"), "{text}");
    assert_eq!(rig.workbench.content("d").as_deref(), Some("x"), "{text}");
}

#[tokio::test]
async fn words_sent_twice_while_a_turn_runs_steer_it_once() {
    let mut rig = Setup::new(["one moment\ngate a\ncall read {\"path\":\"a.txt\"}", "done"])
        .open()
        .await;
    rig.say("read a").await;
    rig.gate("a").reached().await;
    let op = Op::UserTurn {
        session: SESSION,
        turn: TurnId::from_u128(60),
        text: "hurry".into(),
        images: Vec::new(),
        options: TurnOptions::default(),
    };
    rig.submit(op.clone()).await;
    rig.submit(op.clone()).await;
    rig.gate("a").open();
    let text = transcript(&rig.read(0, &[], is_end).await);
    assert_eq!(text.matches("steered").count(), 1, "{text}");
    rig.submit(op).await;
    assert_eq!(
        rig.engine.sessions(1).await.expect("listed")[0].turns,
        1,
        "nor does it start a turn later"
    );
}

#[tokio::test]
async fn a_session_s_leave_is_forgotten_with_the_turn_that_it_was_given_in() {
    let write = |name: &str| format!("call write {{\"path\":\"{name}\",\"content\":\"x\"}}");
    let replies = [write("c"), "done".to_owned(), write("d"), "done".to_owned()];
    let mut rig = Setup::new(replies).open().await;
    rig.turn("write", &[Decision::Session]).await;
    let what = Forget::Turn {
        session: SESSION,
        turn: TurnId::from_u128(1),
    };
    rig.submit(Op::Forget { what }).await;
    let text = transcript(&rig.turn("write again", &[Decision::Deny]).await);
    assert!(text.contains("approval_requested"), "{text}");
    assert_eq!(rig.workbench.content("d"), None, "{text}");
}

#[tokio::test]
async fn what_is_said_to_a_turn_that_ends_waits_for_the_next_and_too_much_of_it_is_refused() {
    const WAITING_MAX: u128 = 16;
    let first = ["call read {\"path\":\"a.txt\"}", "gate a"];
    let mut setup = Setup::new(first.into_iter().chain((0..WAITING_MAX).map(|_| "ok")));
    setup.turn_limits.model_calls_max = 2;
    let mut rig = setup.open().await;
    rig.say("read a").await;
    rig.gate("a").reached().await;
    let say = |n: u128| {
        rig.engine.submit(Op::UserTurn {
            session: SESSION,
            turn: TurnId::from_u128(100 + n),
            text: format!("more {n}"),
            images: Vec::new(),
            options: TurnOptions::default(),
        })
    };
    let mut waiting = futures::future::join_all((0..WAITING_MAX).map(say));
    assert!(futures::poll!(&mut waiting).is_pending());
    let refused = say(WAITING_MAX).await.expect_err("it is one too many");
    assert!(
        refused.to_string().starts_with("16 messages wait"),
        "{refused}"
    );
    rig.gate("a").open();
    assert_eq!(waiting.await, vec![Ok(()); 16]);
    rig.submit(Op::Interrupt { session: SESSION }).await;
    let text = transcript(
        &rig.read(
            0,
            &[],
            |event| matches!(event, Event::TurnStarted { text } if text == "more 15"),
        )
        .await,
    );
    assert!(!text.contains("steered"), "{text}");
    assert!(!text.contains("more 16"), "{text}");
}
