//! The order of a turn's calls: those that only look run side by side, those that change something alone.

use super::{Scope, changes_something, unless_cancelled};
use std::sync::Arc;
use titan_protocol::{Effect, ToolError};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

/// A call's hold on the order of its turn: beside others as long as it only looks, alone once it changes something. The
/// calls that it makes of other tools share it.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<Hold>>);

#[derive(Default)]
enum Hold {
    #[default]
    Nothing,
    Shared {
        _guard: OwnedRwLockReadGuard<()>,
    },
    Alone {
        _guard: OwnedRwLockWriteGuard<()>,
    },
}

impl Held {
    /// Waits until a step with these effects may run.
    pub(super) async fn take(&self, scope: &Scope, effects: &[Effect]) -> Result<(), ToolError> {
        let changes = effects.iter().any(changes_something);
        let mut hold = self.0.lock().await;
        match *hold {
            Hold::Alone { .. } => {}
            Hold::Shared { .. } if !changes => {}
            _ if changes => {
                *hold = Hold::Nothing;
                let order = scope.order.clone();
                let alone = unless_cancelled(scope, async { Ok(order.write_owned().await) });
                *hold = Hold::Alone {
                    _guard: alone.await?,
                };
            }
            _ => {
                let order = scope.order.clone();
                let shared = unless_cancelled(scope, async { Ok(order.read_owned().await) });
                *hold = Hold::Shared {
                    _guard: shared.await?,
                };
            }
        }
        Ok(())
    }

    /// Whether nothing else runs meanwhile.
    pub(super) async fn is_alone(&self) -> bool {
        matches!(*self.0.lock().await, Hold::Alone { .. })
    }
}
