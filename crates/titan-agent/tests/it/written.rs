//! Calls that run while the model is still writing them.

use crate::harness::{Rig, SESSION, Setup, is_end, transcript};
use expect_test::expect;
use titan_exec::Rule;
use titan_protocol::{Content, Decision, Event, Op, Record, Task};
use titan_testkit::gate::Gate;
use titan_testkit::workbench::{MemoryWorkbench, Process};

/// A shell in which every program may run, and that knows these statements.
fn shell<const N: usize>(
    replies: impl IntoIterator<Item = &'static str>,
    statements: [(&str, Process); N],
) -> Setup {
    let mut setup = Setup::new(replies);
    let programs = ["build", "test", "look", "deploy"];
    let place = MemoryWorkbench::new().shell(statements);
    setup.workbench = programs.into_iter().fold(place, |place, name| {
        place.program(name, |_| Process::exits(0))
    });
    setup.rules.run = Rule::Allow;
    setup
}

fn said(text: &str) -> Process {
    Process::exits(0).stdout(format!("{text}\n"))
}

/// What happened from the first call on, without the pieces of its arguments.
fn since_call(records: &[Record]) -> String {
    let text = transcript(records);
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("tool_call_started"));
    let lines = lines.filter(|line| !line.starts_with("arguments"));
    lines.map(|line| format!("{line}\n")).collect()
}

async fn until(rig: &Rig, is_last: impl Fn(&Event) -> bool) -> Vec<Record> {
    rig.read(0, &[], is_last).await
}

fn puts_out(event: &Event, said: &str) -> bool {
    matches!(event, Event::ToolOutputDelta { text, .. } if text.contains(said))
}

const TWO: &str = "begin shell {\"script\":\"build\\n\ngate a\nmore: test\\n\"}\nwhole:";

#[tokio::test]
async fn a_statement_runs_while_the_next_is_still_being_written() {
    let statements = [("build", said("built")), ("test", said("tested"))];
    let mut rig = shell([TWO, "both ran"], statements).open().await;
    rig.say("build and test it").await;
    // The model is held at its gate: it has written no more than the first statement.
    let before = until(&rig, |event| puts_out(event, "built")).await;
    expect![[r#"
        tool_call_started c1 shell
        step_decided c1 allow (within the rules)
        output c1 "built\n"
    "#]]
    .assert_eq(&since_call(&before));
    rig.gate("a").open();
    expect![[r#"
        tool_call_started c1 shell
        step_decided c1 allow (within the rules)
        output c1 "built\n"
        tool_call_ready c1 shell {"script":"build\ntest\n"}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        output c1 "tested\n"
        tool_call_ended c1 "built\ntested\n"
        model_call_started script/scripted
        text "both ran\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]]
    .assert_eq(&since_call(&until(&rig, is_end).await));
}

/// What happens to a script that builds, deletes and tests, where a person is asked about what it changes.
async fn deletes<const N: usize>(statements: [(&str, Process); N], decision: Decision) -> String {
    let reply = "call shell {\"script\":\"build\\nrm -r out\\ntest\\n\"}";
    let mut setup = shell([reply, "done"], statements);
    setup.workbench = setup
        .workbench
        .program("rm", |_| Process::exits(0))
        .folder("out");
    setup.rules.write = Rule::Ask;
    since_call(&setup.open().await.turn("go", &[decision]).await)
}

#[tokio::test]
async fn x20_what_must_be_asked_about_waits_for_all_that_follows_and_is_asked_about_once() {
    let statements = [
        ("build", said("built")),
        ("rm -r out\ntest", said("removed and tested")),
    ];
    let happened = deletes(statements, Decision::Once).await;
    expect![[r#"
        tool_call_started c1 shell
        tool_call_ready c1 shell {"script":"build\nrm -r out\ntest\n"}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        step_decided c1 ask (wants to change /workspace/out)
        approval_requested c1 "wants to change /workspace/out" [write /workspace/out]
        approval_decided Once by person
        output c1 "built\nremoved and tested\n"
        tool_call_ended c1 "built\nremoved and tested\n"
        model_call_started script/scripted
        text "done\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]]
    .assert_eq(&happened);
}

#[tokio::test]
async fn x20_what_is_denied_ends_the_call_and_what_ran_before_is_told() {
    let statements = [("build", said("built"))];
    let happened = deletes(statements, Decision::Deny).await;
    expect![[r#"
        tool_call_started c1 shell
        tool_call_ready c1 shell {"script":"build\nrm -r out\ntest\n"}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        step_decided c1 ask (wants to change /workspace/out)
        approval_requested c1 "wants to change /workspace/out" [write /workspace/out]
        approval_decided Deny by person
        output c1 "built\n"
        tool_call_failed c1 "built\n[What came before ran. The rest did not. Not run: the person said no. Do not try it again in another way; go on without it, or ask.]"
        model_call_started script/scripted
        text "done\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&happened);
}

#[tokio::test]
async fn x21_a_cut_call_runs_no_half_statement_and_the_model_goes_on_after_what_ran() {
    let cut = "begin shell {\"script\":\"build\\nte\nfail interrupted reset";
    let statements = [("build", said("built")), ("test", said("tested"))];
    let rest = "call shell {\"script\":\"test\"}";
    let mut rig = shell([cut, rest, "done"], statements).open().await;
    let records = rig.turn("go", &[]).await;
    expect![[r#"
        tool_call_started c1 shell
        model_call_failed script stopped in the middle of its answer: reset
        step_decided c1 allow (within the rules)
        output c1 "built\n"
        tool_call_ready c1 shell {"script":"build\n"}
        tool_call_failed c1 "built\n[This call was cut while it was being written: the connection to the model broke. What stands in it ran; nothing after it did. Go on from there and repeat nothing.]"
        instructed "The connection broke while you were answering. What you said and called so far stands above and was done; go on from there and repeat nothing."
        model_call_started script/scripted
        tool_call_started c2 shell
        tool_call_ready c2 shell {"script":"test"}
        model_call_ended ToolCalls 0+0
        step_decided c2 allow (within the rules)
        output c2 "tested\n"
        tool_call_ended c2 "tested\n"
        model_call_started script/scripted
        text "done\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&since_call(&records));
    let asked = &rig.requests()[1].messages;
    let results = asked.iter().flat_map(|message| &message.content);
    let told = results.filter_map(|content| match content {
        Content::ToolResult { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let told: String = told.collect();
    assert!(told.starts_with("built\n[This call was cut"), "{told}");
}

#[tokio::test]
async fn x21_a_call_cut_before_its_first_statement_leaves_nothing() {
    for end in ["fail interrupted reset", "stop length"] {
        let cut = format!("begin shell {{\"script\":\"build\n{end}");
        let mut setup = shell([], [("build", said("built"))]);
        setup.replies = vec![cut, "done".to_owned()];
        let mut rig = setup.open().await;
        let records = rig.turn("go", &[]).await;
        let text = transcript(&records);
        assert!(!text.contains("tool_call_ready"), "{text}");
        assert_eq!(rig.workbench.commands(), [], "{text}");
        assert_eq!(rig.workbench.running(), 0, "{text}");
    }
}

#[tokio::test]
async fn an_interrupt_ends_what_runs_of_a_call_that_is_being_written() {
    let gate = Gate::new();
    let hangs = Process::exits(0).hold(&gate).hangs();
    let mut rig = shell([TWO, "unused"], [("build", hangs)]).open().await;
    rig.say("go").await;
    gate.reached().await;
    rig.submit(Op::Interrupt { session: SESSION }).await;
    let text = since_call(&until(&rig, is_end).await);
    expect![[r#"
        tool_call_started c1 shell
        step_decided c1 allow (within the rules)
        tool_call_ready c1 shell {"script":"build\n"}
        tool_call_failed c1 "Interrupted.\n[This call was cut while it was being written: the turn was stopped. What stands in it ran; nothing after it did. Go on from there and repeat nothing.]"
        turn_ended interrupted 0+0
    "#]].assert_eq(&text);
    assert_eq!(rig.workbench.running(), 0, "{text}");
}

#[tokio::test]
async fn what_only_looks_begins_when_all_that_it_needs_is_written() {
    let reply = "begin read {\"path\":\"a.txt\",\ngate a\nmore: \"lines\":1}\nwhole:";
    let mut rig = Setup::new([reply, "done"]).open().await;
    rig.say("read it").await;
    let before = until(&rig, |event| matches!(event, Event::StepDecided { .. })).await;
    assert!(!transcript(&before).contains("tool_call_ready"));
    rig.gate("a").open();
    expect![[r#"
        tool_call_started c1 read
        step_decided c1 allow (within the rules)
        tool_call_ready c1 read {"path":"a.txt","lines":1}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        tool_call_ended c1 "alpha\n[1 line in all]"
        model_call_started script/scripted
        text "done\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]]
    .assert_eq(&since_call(&until(&rig, is_end).await));
}

#[tokio::test]
async fn a_model_that_writes_on_after_its_script_has_failed_is_stopped_and_told_why() {
    let failed = Process::exits(1).stderr("error[E0308]: mismatched types\n");
    let reply = "begin shell {\"script\":\"build\\n\ngate a\nmore: deploy\\nlo\ngate b\nmore: ok\\n\"}\nwhole:";
    let mut rig = shell([reply, "I see"], [("build", failed)]).open().await;
    rig.say("build, test and deploy it").await;
    until(&rig, |event| puts_out(event, "E0308")).await;
    rig.gate("a").open();
    // The second gate stays closed: nothing more is read from this model.
    let records = until(&rig, is_end).await;
    expect![[r#"
        tool_call_started c1 shell
        step_decided c1 allow (within the rules)
        output c1 "error[E0308]: mismatched types\n"
        validator_finding c1 build stopped Model: "it said \"error[E0308]: mismatched types\""
        model_call_ended ToolCalls 0+0
        tool_call_ready c1 shell {"script":"build\n"}
        tool_call_failed c1 "error[E0308]: mismatched types\n[exit status 1]\n[This call was cut while it was being written: it said \"error[E0308]: mismatched types\". What stands in it ran; nothing after it did. Go on from there and repeat nothing.]"
        model_call_started script/scripted
        text "I see\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&since_call(&records));
}

#[tokio::test]
async fn what_only_looks_runs_on_after_a_failure() {
    let failed = Process::exits(1).stderr("test result: FAILED. 1 failed\n");
    let reply = "begin shell {\"script\":\"build\\n\ngate a\nmore: ls\\n\"}\nwhole:";
    let mut setup = shell([reply, "I see"], [("build", failed), ("ls", said("a log"))]);
    setup.workbench = setup.workbench.program("ls", |_| Process::exits(0));
    let mut rig = setup.open().await;
    rig.say("build it").await;
    until(&rig, |event| puts_out(event, "FAILED")).await;
    rig.gate("a").open();
    let text = transcript(&until(&rig, is_end).await);
    assert!(text.contains("a log"), "{text}");
    assert!(!text.contains("validator_finding"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_waits_for_an_answer_is_stopped() {
    let asks = Process::exits(0).stdout("Overwrite it? [y/N] ").hangs();
    let reply = "call shell {\"script\":\"build\"}";
    let mut rig = shell([reply, "I see"], [("build", asks)]).open().await;
    let records = rig.turn("build it", &[]).await;
    expect![[r#"
        tool_call_started c1 shell
        tool_call_ready c1 shell {"script":"build"}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        output c1 "Overwrite it? [y/N] "
        validator_finding c1 question stopped Call: "it asks \"Overwrite it? [y/N]\", and nothing can be answered: its input is empty"
        tool_call_failed c1 "Overwrite it? [y/N]\n[Stopped, because it asks \"Overwrite it? [y/N]\", and nothing can be answered: its input is empty.]"
        model_call_started script/scripted
        text "I see\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&since_call(&records));
    assert_eq!(rig.workbench.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_a_second_model_gives_up_on_is_stopped_and_the_call_is_paid_for() {
    let tries = Process::exits(0)
        .stdout("cannot connect, trying again\n")
        .hangs();
    let reply = "call shell {\"script\":\"build\"}";
    let replies = [reply, "WAIT", "STOP: every try fails alike.", "I see"];
    let mut setup = shell(replies, [("build", tries)]);
    setup.reads_along = true;
    let mut rig = setup.open().await;
    let records = rig.turn("build it", &[]).await;
    expect![[r#"
        tool_call_started c1 shell
        tool_call_ready c1 shell {"script":"build"}
        model_call_ended ToolCalls 0+0
        step_decided c1 allow (within the rules)
        output c1 "cannot connect, trying again\n"
        model_call_started script/scripted
        model_call_ended End 0+0
        model_call_started script/scripted
        model_call_ended End 0+0
        validator_finding c1 opinion stopped Call: "a model that reads along says \"every try fails alike\""
        tool_call_failed c1 "cannot connect, trying again\n[Stopped, because a model that reads along says \"every try fails alike\".]"
        model_call_started script/scripted
        text "I see\n"
        model_call_ended End 0+0
        turn_ended completed 0+0
    "#]].assert_eq(&since_call(&records));
    let asked = rig.requests()[1].clone();
    assert_eq!(asked.task, Task::Utility);
    assert!(asked.tools.is_empty());
    let Content::Text { text } = &asked.messages[0].content[0] else {
        panic!("{asked:?}")
    };
    expect![[r#"
        The program:
        shell
        build

        What it has put out so far, its end:
        cannot connect, trying again
    "#]]
    .assert_eq(text);
}

#[tokio::test]
async fn a_call_whose_tool_can_not_get_ready_says_why() {
    let reply = "call shell {\"script\":\"build\\ntest\\n\"}";
    let mut setup = Setup::new([reply, "I see"]);
    setup.rules.run = Rule::Allow;
    let records = setup.open().await.turn("go", &[]).await;
    let text = transcript(&records);
    assert!(text.contains("there is neither bash nor sh here"), "{text}");
    assert!(text.ends_with("turn_ended completed 0+0\n"), "{text}");
}
