//! What runs now, as surfaces are told.

use crate::harness::{Rig, SESSION, Setup, is_end};
use titan_protocol::{
    Client, Event, JOB_LINE_CHARS_MAX, Job, JobStage, Op, SessionId, TurnId, Workbench,
};
use titan_testkit::gate::Gate;
use titan_testkit::workbench::{MemoryWorkbench, Process};

async fn jobs(rig: &Rig) -> Vec<Job> {
    rig.engine.jobs().await.expect("the engine is here")
}

/// Its calls, as tool, what they are about, and how far they are.
fn calls(job: &Job) -> Vec<(&str, &str, JobStage)> {
    let calls = job.calls.iter();
    calls
        .map(|call| (call.tool.as_str(), call.about.as_str(), call.stage))
        .collect()
}

#[tokio::test]
async fn a_turn_is_told_from_its_first_word_to_its_end_with_what_it_waits_for() {
    let gate = Gate::new();
    let mut setup = Setup::new([
        "gate a\ncall shell {\"script\":\"make all\"}",
        "it is built",
    ]);
    let process = Process::exits(0).hold(&gate);
    setup.workbench = MemoryWorkbench::new().shell([("make all", process)]);
    let mut rig = setup.open().await;
    assert_eq!(jobs(&rig).await, []);
    rig.say("build it\nand tell me").await;
    rig.gate("a").reached().await;
    let running = jobs(&rig).await;
    let [job] = &running[..] else {
        panic!("one turn runs: {running:?}");
    };
    assert_eq!((job.session, job.turn), (SESSION, TurnId::from_u128(1)));
    assert_eq!(
        (job.title.as_str(), job.text.as_str()),
        ("build it", "build it")
    );
    assert_eq!(job.workspace, rig.workbench.root());
    assert_eq!(calls(job), [], "it waits for the model");
    rig.gate("a").open();
    let is_asked = |event: &Event| matches!(event, Event::ApprovalRequested { .. });
    rig.read(0, &[], is_asked).await;
    let asked = jobs(&rig).await;
    assert_eq!(calls(&asked[0]), [("shell", "make all", JobStage::Asked)]);
    let yes = [titan_protocol::Decision::Once];
    let decided = |event: &Event| matches!(event, Event::ApprovalDecided { .. });
    rig.read(0, &yes, decided).await;
    gate.reached().await;
    let running = jobs(&rig).await;
    assert_eq!(
        calls(&running[0]),
        [("shell", "make all", JobStage::Running)]
    );
    gate.open();
    rig.read(0, &[], is_end).await;
    assert_eq!(jobs(&rig).await, []);
}

#[tokio::test]
async fn a_turn_that_is_stopped_is_no_job_and_long_words_are_cut() {
    let mut rig = Setup::new(["gate never"]).open().await;
    rig.say(&"long ".repeat(1_000)).await;
    rig.gate("never").reached().await;
    let running = jobs(&rig).await;
    assert_eq!(running[0].text.chars().count(), JOB_LINE_CHARS_MAX);
    let session: SessionId = running[0].session;
    rig.submit(Op::Interrupt { session }).await;
    rig.read(0, &[], is_end).await;
    assert_eq!(jobs(&rig).await, []);
}
