//! What happens in a turn.

use crate::harness::{SESSION, Setup, check_turn, is_end, transcript};
use expect_test::expect;
use std::time::Duration;
use titan_agent::TurnLimits;
use titan_protocol::{Decision, Event, Op, ToolChoice, TurnOutcome};
use titan_testkit::gate::Gate;
use titan_testkit::workbench::{MemoryWorkbench, Process};

#[tokio::test]
async fn a_plain_question_is_one_model_call() {
    check_turn(
        "//- user\nhi\n//- model\nhello\nusage 10 2",
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "hi"
            model_call_started script/scripted
            text "hello\n"
            model_call_ended End 10+2
            turn_ended completed 10+2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn results_of_parallel_calls_join_the_thread() {
    check_turn(
        r#"
//- user
what is in a and b?
//- model
let me look
call read {"path":"a.txt"}
call read {"path":"b.txt"}
//- model
alpha and beta
"#,
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "what is in a and b?"
            model_call_started script/scripted
            text "let me look\n"
            tool_call_started c1 read
            arguments c1 "{\"path\":\"a.txt\"}"
            tool_call_ready c1 read {"path":"a.txt"}
            tool_call_started c2 read
            arguments c2 "{\"path\":\"b.txt\"}"
            tool_call_ready c2 read {"path":"b.txt"}
            model_call_ended ToolCalls 0+0
            step_decided c1 allow (within the rules)
            tool_call_ended c1 "alpha\n[1 line in all]"
            step_decided c2 allow (within the rules)
            tool_call_ended c2 "beta\n[1 line in all]"
            model_call_started script/scripted
            text "alpha and beta\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_denied_call_reaches_no_tool_and_the_model_hears_why() {
    check_turn(
        r#"
//- user
write it
//- model
call write {"path":"c.txt","content":"gamma"}
//- model
then not
"#,
        &[Decision::Deny],
        expect![[r#"
            session_started /workspace
            turn_started "write it"
            model_call_started script/scripted
            tool_call_started c1 write
            arguments c1 "{\"path\":\"c.txt\",\"content\":\"gamma\"}"
            tool_call_ready c1 write {"path":"c.txt","content":"gamma"}
            model_call_ended ToolCalls 0+0
            step_decided c1 ask (wants to change /workspace/c.txt)
            approval_requested c1 "wants to change /workspace/c.txt" [write /workspace/c.txt]
            approval_decided Deny by person
            tool_call_failed c1 "Not run: the person said no. Do not try it again in another way; go on without it, or ask."
            model_call_started script/scripted
            text "then not\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_approved_call_runs() {
    check_turn(
        r#"
//- user
write it
//- model
call write {"path":"c.txt","content":"gamma"}
//- model
done
"#,
        &[Decision::Once],
        expect![[r#"
            session_started /workspace
            turn_started "write it"
            model_call_started script/scripted
            tool_call_started c1 write
            arguments c1 "{\"path\":\"c.txt\",\"content\":\"gamma\"}"
            tool_call_ready c1 write {"path":"c.txt","content":"gamma"}
            model_call_ended ToolCalls 0+0
            step_decided c1 ask (wants to change /workspace/c.txt)
            approval_requested c1 "wants to change /workspace/c.txt" [write /workspace/c.txt]
            approval_decided Once by person
            file_changed /workspace/c.txt absent -> 039b3fa6
            tool_call_ended c1 "made c.txt: 1 lines, 5 bytes"
            model_call_started script/scripted
            text "done\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_call_with_broken_arguments_is_told_to_the_model() {
    check_turn(
        r#"
//- user
read it
//- model
call read {"path":"a.txt","path":"b.txt"}
call nothing {}
call read {"file":"a.txt"}
//- model
sorry
"#,
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "read it"
            model_call_started script/scripted
            tool_call_started c1 read
            arguments c1 "{\"path\":\"a.txt\",\"path\":\"b.txt\"}"
            tool_call_started c2 nothing
            arguments c2 "{}"
            tool_call_ready c2 nothing {}
            tool_call_started c3 read
            arguments c3 "{\"file\":\"a.txt\"}"
            tool_call_ready c3 read {"file":"a.txt"}
            model_call_ended ToolCalls 0+0
            step_decided c1 allow (within the rules)
            tool_call_ready c1 read {"path":"a.txt"}
            tool_call_failed c1 "alpha\n[1 line in all]\n[This call was cut while it was being written: the arguments are not valid JSON: the key \"path\" stands twice at line 1 column 31. What stands in it ran; nothing after it did. Go on from there and repeat nothing.]"
            tool_call_failed c2 "There is no tool called \"nothing\". The tools are: apply_patch, ask_user, callees, callers, canvas, edit, fetch, glob, grep, history, impact, list, map, read, recall, remember, shell, symbol, todo, write."
            tool_call_failed c3 "The arguments of read do not fit: Additional properties are not allowed ('file' was unexpected); \"path\" is a required property. Its schema is {\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,\"description\":\"File, or output:HASH\"},\"offset_line\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"First line, from 1\"},\"lines\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":20000,\"description\":\"How many lines\"}},\"required\":[\"path\"],\"additionalProperties\":false}."
            model_call_started script/scripted
            text "sorry\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn x21_a_call_that_is_cut_never_runs() {
    check_turn(
        r#"
//- user
write it
//- model
begin write {"path":"c.txt","content":"gam
stop length
//- model
I make it shorter
"#,
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "write it"
            model_call_started script/scripted
            tool_call_started c1 write
            arguments c1 "{\"path\":\"c.txt\",\"content\":\"gam"
            model_call_ended Length 0+0
            instructed "Your answer was cut by the token limit. Go on exactly where it stopped, and repeat nothing. A call that was cut was not run: make it smaller."
            model_call_started script/scripted
            text "I make it shorter\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn x22_a_reply_that_breaks_is_gone_on_with_and_nothing_runs_twice() {
    check_turn(
        r#"
//- user
read a
//- model
I read it
call read {"path":"a.txt"}
fail interrupted reset
//- model
alpha
"#,
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "read a"
            model_call_started script/scripted
            text "I read it\n"
            tool_call_started c1 read
            arguments c1 "{\"path\":\"a.txt\"}"
            tool_call_ready c1 read {"path":"a.txt"}
            model_call_failed script stopped in the middle of its answer: reset
            instructed "The connection broke while you were answering. What you said and called so far stands above and was done; go on from there and repeat nothing."
            step_decided c1 allow (within the rules)
            tool_call_ended c1 "alpha\n[1 line in all]"
            model_call_started script/scripted
            text "alpha\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_ends_the_turn_with_its_error() {
    check_turn(
        "//- user\nhi\n//- model\nfail unavailable no route to host",
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "hi"
            model_call_started script/scripted
            model_call_failed script cannot be reached: no route to host
            turn_ended failed (script cannot be reached: no route to host. See whether it runs and the network is up and ask again, or choose another model with --model.) 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_empty_answer_is_asked_for_again() {
    check_turn(
        "//- user\nhi\n//- model\nstop end\n//- model\nhello",
        &[],
        expect![[r#"
            session_started /workspace
            turn_started "hi"
            model_call_started script/scripted
            model_call_ended End 0+0
            instructed "Your answer was empty. Answer the person in words, or call a tool."
            model_call_started script/scripted
            text "hello\n"
            model_call_ended End 0+0
            turn_ended completed 0+0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_same_call_again_and_again_ends_with_a_written_answer() {
    let look = r#"call read {"path":"a.txt"}"#;
    let mut rig = Setup::new([look, look, look, look, "it says alpha"])
        .open()
        .await;
    let records = rig.turn("read it for ever", &[]).await;
    let text = transcript(&records);
    assert!(
        text.contains("gave the same result. Use what you have"),
        "{text}"
    );
    assert!(text.contains("text \"it says alpha\\n\""), "{text}");
    assert!(
        text.contains("turn_ended limited (it made the same call 4 times with the same result)"),
        "{text}"
    );
    let requests = rig.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!(
        requests[4].tool_choice,
        ToolChoice::None,
        "the last answer is written without tools"
    );
}

#[tokio::test]
async fn a_model_that_never_ends_is_ended_with_words_even_if_it_writes_none() {
    let mut setup = Setup::new((0..9).map(|n| format!("call glob {{\"pattern\":\"*{n}\"}}")));
    setup.turn_limits = TurnLimits {
        model_calls_max: 3,
        ..TurnLimits::default()
    };
    let mut rig = setup.open().await;
    let records = rig.turn("go", &[]).await;
    let text = transcript(&records);
    assert!(
        text.contains(
            "text \"I stopped here because it made 3 model calls, the most one turn may."
        ),
        "{text}"
    );
    assert_eq!(rig.requests().len(), 3);
}

#[tokio::test]
async fn what_is_said_during_a_turn_steers_its_next_model_call() {
    let mut rig = Setup::new([
        "one moment\ngate a\ncall read {\"path\":\"a.txt\"}",
        "in French: alpha",
    ])
    .open()
    .await;
    rig.say("read a").await;
    rig.gate("a").reached().await;
    rig.say("answer in French").await;
    rig.gate("a").open();
    let records = rig.read(0, &[], is_end).await;
    expect![[r#"
        session_started /workspace
        turn_started "read a"
        model_call_started script/scripted
        text "one moment\n"
        steered "answer in French"
        tool_call_started c1 read
        arguments c1 "{\"path\":\"a.txt\"}"
        tool_call_ready c1 read {"path":"a.txt"}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        tool_call_ended c1 "alpha\n[1 line in all]"
        model_call_started script/scripted
        text "in French: alpha\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]]
    .assert_eq(&transcript(&records));
    let last = rig.requests()[1]
        .messages
        .last()
        .cloned()
        .expect("there is a message");
    assert_eq!(last.text(), "answer in French");
}

#[tokio::test]
async fn an_interrupt_keeps_what_was_said_and_ends_the_turn() {
    let mut rig = Setup::new(["half an answer\ngate a\nnever said", "whole"])
        .open()
        .await;
    rig.say("tell me").await;
    rig.gate("a").reached().await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    let records = rig.read(0, &[], is_end).await;
    expect![[r#"
        session_started /workspace
        turn_started "tell me"
        model_call_started script/scripted
        text "half an answer\n"
        turn_ended interrupted 0+0
    "#]]
    .assert_eq(&transcript(&records));
    rig.turn("go on", &[]).await;
    let said: Vec<String> = rig.requests()[1]
        .messages
        .iter()
        .map(titan_protocol::Message::text)
        .collect();
    assert_eq!(said[1..], ["half an answer\n", "go on"]);
}

#[tokio::test]
async fn an_interrupt_ends_a_running_program() {
    let gate = Gate::new();
    let mut setup = Setup::new(["call shell {\"script\":\"sleep 1000\"}", "unused"]);
    let process = Process::exits(0).hold(&gate).hangs();
    setup.workbench = MemoryWorkbench::new().shell([("sleep 1000", process)]);
    setup.rules.run = titan_exec::Rule::Allow;
    setup.rules.run_reading = titan_exec::Rule::Allow;
    let mut rig = setup.open().await;
    rig.say("wait").await;
    gate.reached().await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    let text = transcript(&rig.read(0, &[], is_end).await);
    assert!(text.ends_with("turn_ended interrupted 0+0\n"), "{text}");
    assert_eq!(rig.workbench.running(), 0, "{text}");
}

#[tokio::test]
async fn an_interrupt_withdraws_an_open_approval() {
    let mut rig = Setup::new(["call write {\"path\":\"c\",\"content\":\"x\"}", "unused"])
        .open()
        .await;
    rig.say("write").await;
    rig.read(0, &[], |event| {
        matches!(event, Event::ApprovalRequested { .. })
    })
    .await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    let text = transcript(&rig.read(0, &[], is_end).await);
    assert!(
        text.contains("approval_decided Deny by cancelled"),
        "{text}"
    );
    assert_eq!(rig.workbench.content("c"), None, "{text}");
}

#[tokio::test]
async fn what_is_said_right_after_an_interrupt_is_a_turn_of_its_own() {
    let gate = Gate::new();
    let mut setup = Setup::new(["call shell {\"script\":\"sleep 1000\"}", "here I am"]);
    let process = Process::exits(0).hold(&gate).hangs();
    setup.workbench = MemoryWorkbench::new().shell([("sleep 1000", process)]);
    setup.rules.run = titan_exec::Rule::Allow;
    let mut rig = setup.open().await;
    rig.say("wait").await;
    gate.reached().await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    rig.say("are you there?").await;
    let said =
        |event: &Event| matches!(event, Event::TextDelta { text } if text.contains("here I am"));
    let text = transcript(&rig.read(0, &[], said).await);
    assert!(text.contains("turn_ended interrupted"), "{text}");
    assert!(text.contains("turn_started \"are you there?\""), "{text}");
}

#[tokio::test]
async fn a_reply_that_promises_calls_and_makes_none_is_an_answer() {
    let mut rig = Setup::new(["that is all\nstop tool_calls", "never asked"])
        .open()
        .await;
    let text = transcript(&rig.turn("hi", &[]).await);
    assert!(text.ends_with("turn_ended completed 0+0\n"), "{text}");
    assert_eq!(rig.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn x16_an_approval_that_nobody_answers_is_a_no() {
    let mut rig = Setup::new(["call write {\"path\":\"c\",\"content\":\"x\"}", "then not"])
        .open()
        .await;
    let records = rig.turn("write", &[]).await;
    let text = transcript(&records);
    assert!(text.contains("approval_decided Deny by timeout"), "{text}");
    assert!(
        text.contains("nobody answered the approval request in time"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_takes_too_long_is_asked_for_its_last_words() {
    let mut setup = Setup::new(["thinking about it\ngate never", "that is what I have"]);
    setup.turn_limits = TurnLimits {
        wall_clock_max: Duration::from_secs(60),
        ..TurnLimits::default()
    };
    let mut rig = setup.open().await;
    let records = rig.turn("go", &[]).await;
    let outcome = records.last().map(|record| record.event.clone());
    assert!(
        matches!(&outcome, Some(Event::TurnEnded { outcome: TurnOutcome::Limited { limit }, .. }) if limit.contains("60 s")),
        "{outcome:?}"
    );
    assert!(transcript(&records).contains("that is what I have"));
}

#[tokio::test]
async fn a_session_s_leave_holds_for_the_session_and_the_same_kind() {
    let write = |name: &str| format!("call write {{\"path\":\"{name}\",\"content\":\"x\"}}");
    let mut rig = Setup::new([write("c"), write("d"), write("../e"), "done".to_owned()])
        .open()
        .await;
    let records = rig
        .turn("write", &[Decision::Session, Decision::Deny])
        .await;
    let text = transcript(&records);
    assert_eq!(text.matches("approval_requested").count(), 2, "{text}");
    assert_eq!(rig.workbench.content("d").as_deref(), Some("x"), "{text}");
}

#[tokio::test]
async fn an_exact_leave_holds_for_the_same_step_and_no_other() {
    let write = |content: &str| format!("call write {{\"path\":\"c\",\"content\":\"{content}\"}}");
    let replies = [write("x"), write("x"), write("y"), "done".to_owned()];
    let mut rig = Setup::new(replies).open().await;
    let records = rig.turn("write", &[Decision::Exact, Decision::Deny]).await;
    let text = transcript(&records);
    assert_eq!(text.matches("approval_requested").count(), 2, "{text}");
    assert!(text.contains("allowed before, exactly so"), "{text}");
    assert_eq!(rig.workbench.content("c").as_deref(), Some("x"), "{text}");
}

#[tokio::test]
async fn a_long_output_is_cut_in_the_middle_and_the_whole_is_one_call_away() {
    let long: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    let mut setup = Setup::new(["call read {\"path\":\"long.txt\",\"lines\":5000}", "long"]);
    setup.workbench = MemoryWorkbench::new().file("long.txt", long);
    setup.limits.output_bytes_max = 500;
    let mut rig = setup.open().await;
    let records = rig.turn("read", &[]).await;
    let ended = records.iter().find_map(|record| match &record.event {
        Event::ToolCallEnded { text, whole, .. } => Some((text.clone(), whole.clone())),
        _ => None,
    });
    let (text, whole) = ended.expect("the call ended");
    let whole = whole.expect("the whole is kept");
    assert!(
        text.len() < 800 && text.contains(&format!("output:{whole}")),
        "{text}"
    );
    assert!(
        text.contains("line 0\n") && text.contains("line 4999\n"),
        "{text}"
    );
}
