//! Questions of tools that wait for the person's answer.

use parking_lot::Mutex;
use std::collections::HashMap;
use titan_protocol::QuestionId;
use tokio::sync::oneshot;

/// The questions that wait, by id. A call waits for at most one, and calls are bounded.
#[derive(Default)]
pub(crate) struct Questions {
    waiting: Mutex<HashMap<QuestionId, oneshot::Sender<String>>>,
}

impl Questions {
    /// A new question. Dropping the receiver withdraws it.
    pub(crate) fn open(&self) -> (QuestionId, oneshot::Receiver<String>) {
        let (sender, answer) = oneshot::channel();
        let id = QuestionId::new();
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, sender| !sender.is_closed());
        waiting.insert(id, sender);
        (id, answer)
    }

    /// Answers a question; false when it does not wait.
    pub(crate) fn answer(&self, question: QuestionId, text: String) -> bool {
        self.waiting
            .lock()
            .remove(&question)
            .is_some_and(|waiting| waiting.send(text).is_ok())
    }
}
