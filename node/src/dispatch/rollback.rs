//! Automatic rollback: a stack that is marked as due gets the way back proposed.
//!
//! Only finds the stacks and keeps at it. How the way back is computed is not known here; whether it is still
//! wanted is decided in the state machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anneal_statemachine::event::{Event, EventKind};
use anneal_statemachine::id::StackId;
use anneal_statemachine::outcome::StackStops;
use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::replica::{Leadership, Replica};

/// After a failed attempt: a person may have to mend something, and nothing else waits for it.
const AGAIN: Duration = Duration::from_secs(1);

/// Computes and proposes the way back to a stack's last settled revision.
#[async_trait]
pub trait WayBack: Send + Sync {
    /// Returns once it is decided, whatever the decision.
    ///
    /// # Errors
    /// If it could not be computed or decided; in words, for the log.
    async fn roll_back(&self, leadership: &Leadership, stack: StackId) -> Result<(), String>;
}

/// Rolls back what is due for as long as the leadership lasts.
pub(super) async fn run(
    replica: Replica,
    leadership: Leadership,
    way_back: Arc<dyn WayBack>,
) -> Result<(), String> {
    let mut changes = replica.changes();
    let mut due: BTreeSet<StackId> = all_due(&replica);
    loop {
        let mut failed = BTreeSet::new();
        for stack in std::mem::take(&mut due) {
            if !is_due(&replica, stack) {
                continue;
            }
            tracing::info!(%stack, "rolling back");
            if let Err(error) = way_back.roll_back(&leadership, stack).await {
                tracing::warn!(%stack, error, "the rollback was not decided; trying again");
                failed.insert(stack);
            }
        }
        if !failed.is_empty() {
            tokio::time::sleep(AGAIN).await;
            due = failed;
            continue;
        }
        match changes.recv().await {
            Ok(changes) if !changes.all => {
                let halted = changes.events.iter().filter(|event| halts(event));
                due.extend(halted.filter_map(|event| event.stack));
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => due = all_due(&replica),
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

fn halts(event: &Event) -> bool {
    matches!(event.kind, EventKind::Halted | EventKind::Failed)
}

fn is_due(replica: &Replica, stack: StackId) -> bool {
    replica.read(|machine| {
        let stops = machine.stack(stack).and_then(|stack| stack.stops);
        stops == Some(StackStops::RollbackDue)
    })
}

fn all_due(replica: &Replica) -> BTreeSet<StackId> {
    replica.read(|machine| machine.rollbacks_due().map(|(stack, ..)| stack).collect())
}
