//! What models are asked beside the turns of a session.

use crate::harness::{Rig, SESSION, Setup};
use titan_agent::Aside;
use titan_protocol::{Client, ClientError, Forget, Op, SessionId, Task, TurnId};

const TURN: TurnId = TurnId::from_u128(1);

fn aside() -> Aside {
    Aside {
        task: Task::Code,
        system: "You write.".to_owned(),
        text: "Write this.".to_owned(),
        answer_schema: None,
        output_tokens_max: 7,
    }
}

async fn calls(rig: &Rig) -> u32 {
    let costs = rig.engine.costs(0).await.expect("memory can be read");
    costs.iter().map(|line| line.calls).sum()
}

/// Waits until so many calls are told among the costs.
async fn paid(rig: &Rig, n: u32) {
    while calls(rig).await < n {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_aside_is_answered_and_paid_for_and_is_no_part_of_the_thread() {
    let mut rig = Setup::new(["hello", "the code", "hello again"])
        .open()
        .await;
    rig.turn("hi", &[]).await;
    let heard = rig.engine.ask_aside(SESSION, TURN, aside()).await;
    let heard = heard.expect("it is answered");
    assert_eq!(heard.text.trim(), "the code");
    assert!(heard.model.contains('/'), "{}", heard.model);
    paid(&rig, 2).await;
    rig.turn("hi again", &[]).await;
    let requests = rig.requests();
    let [_, asked, last] = requests.as_slice() else {
        panic!("{requests:#?}")
    };
    assert_eq!(
        (
            asked.task,
            asked.system.as_str(),
            asked.output_tokens_max,
            asked.tools.len()
        ),
        (Task::Code, "You write.", 7, 0)
    );
    assert_eq!(asked.messages.len(), 1, "nothing of the session is in it");
    assert!(!format!("{:?}", last.messages).contains("the code"));
    assert_eq!(calls(&rig).await, 3);
}

#[tokio::test]
async fn an_aside_and_a_turn_do_not_wait_for_each_other() {
    let mut rig = Setup::new(["hello", "gate code\nthe code", "hello again"])
        .open()
        .await;
    rig.turn("hi", &[]).await;
    let engine = rig.engine.clone();
    let asking = tokio::spawn(async move { engine.ask_aside(SESSION, TURN, aside()).await });
    while rig.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    // A whole turn while the model has not answered.
    rig.turn("hi again", &[]).await;
    rig.gate("code").open();
    let heard = asking
        .await
        .expect("it does not panic")
        .expect("it is answered");
    assert!(heard.text.contains("the code"), "{}", heard.text);
    paid(&rig, 3).await;
}

#[tokio::test]
async fn an_aside_ends_with_its_session_and_begins_in_none_that_is_not_there() {
    let mut rig = Setup::new(["hello", "gate code\nthe code"]).open().await;
    let refused = rig
        .engine
        .ask_aside(SessionId::from_u128(9), TURN, aside())
        .await;
    assert!(
        matches!(refused, Err(ClientError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(rig.engine.sessions(10).await.expect("listed").len(), 0);

    rig.turn("hi", &[]).await;
    let engine = rig.engine.clone();
    let asking = tokio::spawn(async move { engine.ask_aside(SESSION, TURN, aside()).await });
    while rig.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    let what = Forget::Session { session: SESSION };
    rig.submit(Op::Forget { what }).await;
    let ended = asking.await.expect("it does not panic");
    assert!(
        matches!(ended, Err(ClientError::Disconnected(_))),
        "{ended:?}"
    );
}
