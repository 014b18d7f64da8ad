//! A [`Gate`] holds a fake at a point until the test lets it go on, so that tests need no sleeps.

use std::sync::Arc;
use tokio::sync::watch;

/// A point that work waits at until the test opens it. Clones are the same gate. Closed when made; once open it
/// stays open.
#[derive(Clone, Debug)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    reached: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            open: Arc::new(watch::Sender::new(false)),
            reached: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Lets through all that wait and all that come later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns as soon as somebody has come to the gate, whether or not it is open. Dropping the future is safe.
    pub async fn reached(&self) {
        wait_for_true(&self.reached).await;
    }

    /// Comes to the gate and waits until it is open. Dropping the future is safe.
    pub async fn pass(&self) {
        self.reached.send_replace(true);
        wait_for_true(&self.open).await;
    }
}

async fn wait_for_true(flag: &watch::Sender<bool>) {
    let mut receiver = flag.subscribe();
    // The sender lives in the gate that we borrow, so the wait cannot fail.
    let _ = receiver.wait_for(|set| *set).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_when_the_gate_opens() {
        let gate = Gate::new();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass().await }
        });
        gate.reached().await;
        assert!(!waiting.is_finished());
        gate.open();
        waiting.await.unwrap();
    }
}
