//! Automatic rollback: a stack that is marked as due gets the way back proposed.
//!
//! Only finds the stacks and keeps at it. How the way back is computed is not known here; whether it is still
//! wanted is decided in the state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anneal_statemachine::event::{Event, EventKind};
use anneal_statemachine::id::StackId;
use anneal_statemachine::outcome::StackStops;
use anneal_statemachine::row::Stop;
use anneal_statemachine::view::StackView;
use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::time::Instant;

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
    let mut resting: BTreeMap<StackId, Instant> = BTreeMap::new();
    loop {
        let now = Instant::now();
        resting.retain(|stack, until| *until > now && due.contains(stack));
        for stack in ready(&replica, &mut due) {
            if resting.contains_key(&stack) {
                continue;
            }
            tracing::info!(%stack, "rolling back");
            if let Err(error) = way_back.roll_back(&leadership, stack).await {
                tracing::warn!(%stack, error, "the rollback was not decided; trying again");
                resting.insert(stack, Instant::now() + AGAIN);
            }
        }
        let rested = resting.values().min().copied();
        tokio::select! {
            () = tokio::time::sleep_until(rested.unwrap_or(now)), if rested.is_some() => {}
            seen = changes.recv() => match seen {
                Ok(changes) if !changes.all => {
                    let halted = changes.events.iter().filter(|event| halts(event));
                    due.extend(halted.filter_map(|event| event.stack));
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => due = all_due(&replica),
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// Those of the due that may go back now. What is due and paused, or has not been taken in yet, stays in the set: its
/// time comes with some later entry. What is due no more leaves it.
fn ready(replica: &Replica, due: &mut BTreeSet<StackId>) -> Vec<StackId> {
    replica.read(|machine| {
        due.retain(|stack| machine.stack(*stack).is_some_and(|stack| is_due(&stack)));
        let goes = |stack: &&StackId| {
            let stops = machine.stack(**stack).and_then(|stack| stack.stops);
            stops == Some(StackStops::RollbackDue)
        };
        due.iter().filter(goes).copied().collect()
    })
}

fn halts(event: &Event) -> bool {
    matches!(event.kind, EventKind::Halted | EventKind::Failed)
}

fn is_due(stack: &StackView<'_>) -> bool {
    stack.row.stop == Some(Stop::RollbackDue)
}

fn all_due(replica: &Replica) -> BTreeSet<StackId> {
    replica.read(|machine| {
        let due = machine.stacks().filter(is_due);
        due.map(|stack| stack.id).collect()
    })
}
