//! Commands on their way to the engine.
//!
//! Nothing waits for them: a line said to a turn that is ending is accepted only when the next one begins, and the screen
//! must go on meanwhile.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::collections::VecDeque;
use titan_protocol::{Client, ClientError, Op, TurnId};

/// Lines that were said and wait to be accepted.
const SAID_MAX: usize = 16;
/// Answers, decisions and interrupts that wait to be accepted.
const SUBMITS_MAX: usize = 16;

/// The turn and the words, where something is said.
pub fn steer_of(op: &Op) -> Option<(TurnId, &str)> {
    match op {
        Op::UserTurn { turn, text, .. } => Some((*turn, text)),
        _ => None,
    }
}

/// A command, and what became of it.
pub type Submitted = (Op, Result<(), ClientError>);

/// Commands on their way to the engine. What is said goes one after the other, so that its order is kept; all else
/// overtakes it.
pub struct Submits<'a> {
    client: &'a dyn Client,
    /// What is said after the line that is under way.
    said: VecDeque<Op>,
    saying: Option<BoxFuture<'a, Submitted>>,
    others: FuturesUnordered<BoxFuture<'a, Submitted>>,
}

impl<'a> Submits<'a> {
    /// None under way.
    pub fn new(client: &'a dyn Client) -> Self {
        Self {
            client,
            said: VecDeque::new(),
            saying: None,
            others: FuturesUnordered::new(),
        }
    }

    /// Sends a command, or gives it back where too many wait.
    #[must_use]
    pub fn push(&mut self, op: Op) -> Option<Op> {
        match steer_of(&op) {
            Some(_) if self.said.len() >= SAID_MAX => return Some(op),
            Some(_) if self.saying.is_some() => self.said.push_back(op),
            Some(_) => self.saying = Some(send(self.client, op)),
            None if self.others.len() >= SUBMITS_MAX => return Some(op),
            None => self.others.push(send(self.client, op)),
        }
        None
    }

    /// What became of the next one. Dropping the future loses nothing; it never ends while nothing is under way.
    pub async fn next(&mut self) -> Submitted {
        let Self {
            client,
            said,
            saying,
            others,
        } = self;
        let line = async {
            match saying.as_mut() {
                Some(saying) => saying.await,
                None => std::future::pending().await,
            }
        };
        let submitted = tokio::select! {
            submitted = line => submitted,
            Some(submitted) = others.next() => return submitted,
        };
        *saying = said.pop_front().map(|op| send(*client, op));
        submitted
    }
}

fn send(client: &dyn Client, op: Op) -> BoxFuture<'_, Submitted> {
    async move {
        let result = client.submit(op.clone()).await;
        (op, result)
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use titan_protocol::{
        BoxStream, CostLine, EngineStatus, ModelInfo, Record, Seq, SessionId, SessionSummary,
        TurnChanges, TurnOptions, UnixMillis,
    };
    use titan_testkit::gate::Gate;

    /// Accepts what is said when its gate is open, and all else at once.
    #[derive(Default)]
    struct Slow {
        gate: Gate,
        ops: Mutex<Vec<Op>>,
    }

    #[async_trait::async_trait]
    impl Client for Slow {
        async fn submit(&self, op: Op) -> Result<(), ClientError> {
            self.ops
                .lock()
                .expect("no test panics with it")
                .push(op.clone());
            if steer_of(&op).is_some() {
                self.gate.pass().await;
            }
            Ok(())
        }

        fn follow(&self, _: Option<SessionId>, _: Seq) -> BoxStream<Result<Record, ClientError>> {
            futures::stream::pending().boxed()
        }

        async fn sessions(&self, _: usize) -> Result<Vec<SessionSummary>, ClientError> {
            Ok(Vec::new())
        }

        async fn costs(&self, _: UnixMillis) -> Result<Vec<CostLine>, ClientError> {
            Ok(Vec::new())
        }

        async fn changes(
            &self,
            _: SessionId,
            _: Option<TurnId>,
        ) -> Result<TurnChanges, ClientError> {
            Err(ClientError::Refused("it changed nothing".to_owned()))
        }

        async fn jobs(&self) -> Result<Vec<titan_protocol::Job>, ClientError> {
            Ok(Vec::new())
        }

        async fn image(
            &self,
            _: SessionId,
            _: Seq,
            _: usize,
        ) -> Result<titan_protocol::ImageBytes, ClientError> {
            Err(ClientError::Refused("it has none".to_owned()))
        }

        async fn reflexes(&self) -> Result<Vec<titan_protocol::ReflexSummary>, ClientError> {
            Ok(Vec::new())
        }

        async fn models(&self) -> Result<Vec<ModelInfo>, ClientError> {
            Ok(Vec::new())
        }

        async fn status(&self) -> Result<EngineStatus, ClientError> {
            Err(ClientError::Refused("it has none".to_owned()))
        }
    }

    #[tokio::test]
    async fn lines_keep_their_order_and_an_interrupt_overtakes_them() {
        let client = Slow::default();
        let mut submits = Submits::new(&client);
        let session = SessionId::from_u128(1);
        let line = |n: u128| Op::UserTurn {
            session,
            turn: TurnId::from_u128(n),
            text: n.to_string(),
            images: Vec::new(),
            options: TurnOptions::default(),
        };
        for n in 0..=SAID_MAX as u128 {
            assert_eq!(submits.push(line(n)), None);
        }
        assert_eq!(submits.push(line(99)), Some(line(99)), "one too many");
        let interrupt = Op::Interrupt { session };
        assert_eq!(submits.push(interrupt.clone()), None);
        assert_eq!(submits.next().await, (interrupt.clone(), Ok(())));
        client.gate.open();
        for n in 0..=SAID_MAX as u128 {
            assert_eq!(submits.next().await, (line(n), Ok(())));
        }
        assert!(submits.next().now_or_never().is_none());
        let ops = client.ops.lock().expect("no test panics with it").clone();
        let lines: Vec<Op> = ops.into_iter().filter(|op| *op != interrupt).collect();
        assert_eq!(lines, (0..=SAID_MAX as u128).map(line).collect::<Vec<_>>());
    }
}
