//! Proposes the expiry of engines whose leases are over, and the draining of those that say so.
//!
//! The table decides; this only waits for its moments and carries its decisions to the log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anneal_statemachine::command::CommandKind;
use anneal_statemachine::id::EngineRef;
use anneal_statemachine::row::LeaseState;
use tokio::sync::broadcast;

use crate::lease::clock::{BootTime, BootTimer, Moment};
use crate::lease::hub::Hub;
use crate::lease::table::LeaseView;
use crate::replica::{Leadership, Replica};

/// Without any engine there is nothing to expire; a look now and then does no harm.
const NOTHING_DUE_MS: u64 = 60_000;
/// After an expiry whose proposal failed: long enough for a quorum to come back, short against a lease.
const AGAIN: Duration = Duration::from_millis(200);

/// Expires engines for as long as the leadership lasts.
///
/// # Errors
/// If the kernel's timer fails.
pub(super) async fn run(replica: Replica, leadership: Leadership, hub: Arc<Hub>) -> io::Result<()> {
    let timer = BootTimer::new()?;
    let mut changes = replica.changes();
    let mut stirred = hub.stirred();
    loop {
        hub.take_in_registered();
        let now = BootTime::now();
        let due = hub.with_table(|table| table.expire_due(now));
        for engine in due {
            expire(&replica, &leadership, &hub, engine).await;
        }
        drain_those_that_say_so(&replica, &leadership, &hub).await;
        let next = hub
            .with_table(|table| table.next_due())
            .unwrap_or_else(|| now.plus_ms(NOTHING_DUE_MS));
        tokio::select! {
            waited = timer.until(next) => waited?,
            _ = stirred.changed() => {}
            () = engines_changed(&mut changes) => {}
        }
    }
}

async fn expire(replica: &Replica, leadership: &Leadership, hub: &Hub, engine: EngineRef) {
    tracing::warn!(%engine, "its lease is over: expiring it");
    let proposed = replica.propose_as(leadership, CommandKind::ExpireEngine(engine));
    if let Err(error) = proposed.await {
        tracing::warn!(%engine, %error, "the expiry was not decided; trying again");
        hub.with_table(|table| table.expire_again(engine));
        tokio::time::sleep(AGAIN).await;
    }
}

async fn drain_those_that_say_so(replica: &Replica, leadership: &Leadership, hub: &Hub) {
    let live: Vec<EngineRef> = replica.read(|machine| {
        machine
            .engines()
            .filter(|found| found.row.lease == LeaseState::Live)
            .map(|found| found.engine)
            .collect()
    });
    for engine in live {
        if hub.view(engine) == LeaseView::Draining {
            let proposed = replica.propose_as(leadership, CommandKind::DrainEngine(engine));
            if let Err(error) = proposed.await {
                tracing::debug!(%engine, %error, "the draining was not decided");
            }
        }
    }
}

/// Returns when the engines in the state may have changed.
async fn engines_changed(changes: &mut broadcast::Receiver<Arc<crate::replica::Changes>>) {
    loop {
        match changes.recv().await {
            Ok(seen) if seen.engines || seen.all => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
