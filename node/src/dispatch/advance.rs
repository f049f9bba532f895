//! Carries on what waits in the state: changes too large for one entry, and deadlines that have come.
//!
//! Decides nothing: there is something to carry on, or there is not.

use std::sync::Arc;
use std::time::Duration;

use anneal_statemachine::command::CommandKind;
use anneal_statemachine::outcome::Outcome;
use tokio::sync::broadcast;

use crate::replica::{Changes, Leadership, ProposeError, Replica};

/// How often old requests are looked through: far more often than their window ends, far less than it costs.
const REQUESTS_EXPIRE: Duration = Duration::from_secs(600);
/// Deadlines are not looked at more often than this: one entry takes all that are due.
const DEADLINE_GRAIN: Duration = Duration::from_millis(20);

/// Proposes `Advance` for as long as the leadership lasts and there is anything left. Once one did not get to the end, they go
/// two at a time: while one is applied, the next is on its way through the log.
pub(super) async fn queues(replica: Replica, leadership: Leadership) -> Result<(), ProposeError> {
    let mut changes = replica.changes();
    let advance = async || {
        let advanced = replica.insist(&leadership, CommandKind::Advance).await?;
        Ok::<_, ProposeError>(advanced.outcome == Outcome::Advanced { more: true })
    };
    loop {
        while replica.read(|machine| machine.wants_advance()) {
            let mut more = advance().await?;
            while more {
                let (first, second) = tokio::try_join!(advance(), advance())?;
                more = first && second;
            }
        }
        changed(&mut changes).await;
    }
}

/// Proposes `FireDeadlines` when one has come.
pub(super) async fn deadlines(
    replica: Replica,
    leadership: Leadership,
) -> Result<(), ProposeError> {
    let mut changes = replica.changes();
    loop {
        let next_ms = replica.read(|machine| machine.deadline_due_ms());
        let wait_ms = next_ms.map(|next_ms| next_ms.saturating_sub(leadership.state_ms()));
        if wait_ms == Some(0) {
            let fire = CommandKind::FireDeadlines;
            replica.insist(&leadership, fire).await?;
        }
        tokio::time::sleep(DEADLINE_GRAIN).await;
        let wait = wait_ms.map_or(Duration::MAX, Duration::from_millis);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = changed(&mut changes) => {}
        }
    }
}

/// Proposes that old requests are forgotten.
pub(super) async fn requests(replica: Replica, leadership: Leadership) -> Result<(), ProposeError> {
    loop {
        tokio::time::sleep(REQUESTS_EXPIRE).await;
        replica
            .insist(&leadership, CommandKind::ExpireRequests)
            .await?;
    }
}

/// Returns when something was applied.
pub(super) async fn changed(changes: &mut broadcast::Receiver<Arc<Changes>>) {
    match changes.recv().await {
        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
    }
}
