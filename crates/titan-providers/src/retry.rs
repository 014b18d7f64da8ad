//! When to send again, and when to stop asking a provider at all.

use crate::failure::Failure;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often and how long to try. Only a request that nothing was heard of yet is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests in all, the first included; at least 1.
    pub attempts_max: u32,
    /// The first wait is at most this; each later one at most twice the one before.
    pub wait_base: Duration,
    /// No wait is longer. A vendor that asks for more is not waited for: the call fails at once.
    pub wait_max: Duration,
    /// So many failures in a row, and the provider is left alone for `cool_down`.
    pub failures_max: u32,
    /// How long a failing provider is left alone before one request may try it again.
    pub cool_down: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            wait_base: Duration::from_millis(500),
            wait_max: Duration::from_secs(20),
            failures_max: 6,
            cool_down: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// How long to wait before the next attempt after `attempts` failed ones; `None` to give up. `random` is from
    /// 0.0 to 1.0 and spreads the waits of many clients over the whole span.
    pub(crate) fn wait(&self, failure: &Failure, attempts: u32, random: f64) -> Option<Duration> {
        if !failure.may_retry || attempts >= self.attempts_max {
            return None;
        }
        // Clients that may all come at once still spread.
        if let Some(asked) = failure.retry_after.filter(|asked| !asked.is_zero()) {
            return (asked <= self.wait_max).then_some(asked);
        }
        let doublings = attempts.saturating_sub(1).min(16);
        let longest = self
            .wait_base
            .saturating_mul(1 << doublings)
            .min(self.wait_max);
        Some(longest.mul_f64(random))
    }
}

/// Leaves a failing provider alone for a while. Clones are the same.
#[derive(Clone)]
pub(crate) struct Breaker {
    failures_max: u32,
    cool_down: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// Until when nobody may ask.
    open_until: Option<Instant>,
    /// One request is trying whether the provider is back.
    is_probing: bool,
}

/// The leave to send one request. Dropped without a word it counts neither way.
pub(crate) struct Permit {
    breaker: Breaker,
    is_probe: bool,
}

impl Breaker {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        Self {
            failures_max: policy.failures_max.max(1),
            cool_down: policy.cool_down,
            state: Arc::default(),
        }
    }

    /// The leave to ask, or how long there will be none.
    pub(crate) fn permit(&self) -> Result<Permit, Duration> {
        let mut state = self.state.lock();
        let Some(until) = state.open_until else {
            return Ok(self.leave(false));
        };
        let now = Instant::now();
        if now < until {
            return Err(until - now);
        }
        if state.is_probing {
            return Err(Duration::ZERO);
        }
        state.is_probing = true;
        Ok(self.leave(true))
    }

    fn leave(&self, is_probe: bool) -> Permit {
        Permit {
            breaker: self.clone(),
            is_probe,
        }
    }
}

impl Permit {
    /// The provider answers.
    pub(crate) fn succeeded(self) {
        let mut state = self.breaker.state.lock();
        state.failures = 0;
        state.open_until = None;
    }

    /// It failed in a way that may pass.
    pub(crate) fn failed(self) {
        let mut state = self.breaker.state.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= self.breaker.failures_max {
            state.open_until = Some(Instant::now() + self.breaker.cool_down);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.state.lock().is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use titan_protocol::ModelError;

    fn failure(retry_after: Option<u64>) -> Failure {
        Failure {
            error: ModelError::Unavailable {
                provider: "acme".to_owned(),
                detail: String::new(),
            },
            retry_after: retry_after.map(Duration::from_secs),
            may_retry: true,
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let policy = RetryPolicy {
            attempts_max: 5,
            wait_base: Duration::from_secs(1),
            wait_max: Duration::from_secs(3),
            ..RetryPolicy::default()
        };
        let waits: Vec<_> = (1..=5)
            .map(|attempts| {
                policy
                    .wait(&failure(None), attempts, 1.0)
                    .map(|it| it.as_secs())
            })
            .collect();
        assert_eq!(waits, [Some(1), Some(2), Some(3), Some(3), None]);
        assert_eq!(policy.wait(&failure(None), 1, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn a_vendor_is_waited_for_as_it_asks_but_not_longer_than_allowed() {
        let policy = RetryPolicy::default();
        assert_eq!(
            policy.wait(&failure(Some(20)), 1, 0.0),
            Some(Duration::from_secs(20))
        );
        assert_eq!(policy.wait(&failure(Some(21)), 1, 0.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_provider_is_left_alone_and_then_tried_by_one() {
        let breaker = Breaker::new(&RetryPolicy {
            failures_max: 2,
            cool_down: Duration::from_secs(30),
            ..RetryPolicy::default()
        });
        breaker.permit().ok().unwrap().failed();
        breaker.permit().ok().unwrap().failed();
        assert_eq!(breaker.permit().err(), Some(Duration::from_secs(30)));

        tokio::time::advance(Duration::from_secs(30)).await;
        let probe = breaker.permit().ok().unwrap();
        assert_eq!(breaker.permit().err(), Some(Duration::ZERO));
        drop(probe);
        breaker.permit().ok().unwrap().failed();
        assert_eq!(breaker.permit().err(), Some(Duration::from_secs(30)));

        tokio::time::advance(Duration::from_secs(30)).await;
        breaker.permit().ok().unwrap().succeeded();
        let open = [breaker.permit(), breaker.permit()];
        assert!(open.iter().all(Result::is_ok));
    }
}
