//! The executor's loop: wakes when the replica has changed, and begins and stops what the ledger says.
//!
//! Work per wake-up is in proportion to what changed, not to what is assigned.

use std::collections::VecDeque;
use std::sync::Arc;

use anneal_statemachine::StateMachine;
use anneal_statemachine::id::{EngineRef, InstanceId};
use tokio::sync::broadcast;

use super::facts::Walked;
use super::ledger::{Duty, Ledger, Seen, Steps};
use super::walk::Shared;

/// Duties carried out in one go before others on this thread have their turn.
const DUTIES_PER_TURN: usize = 64;

/// Runs for as long as the member does; dropped to stop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut ledger = Ledger::default();
    let mut changes = shared.replica.changes();
    let mut incarnation = shared.engine.incarnation();
    let mut me = None;
    loop {
        let changed = tokio::select! {
            changed = incarnation.changed() => {
                if changed.is_err() {
                    return;
                }
                None
            }
            changed = changes.recv() => match changed {
                Ok(changes) => Some(changes),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        let now = *incarnation.borrow_and_update();
        if now != me {
            // Whatever the old incarnation held is lost to it; its calls end with its lease.
            ledger.clear();
        }
        let everything = now != me || changed.as_ref().is_none_or(|changes| changes.all);
        me = now;
        let Some(me) = me else { continue };
        let steps = if everything {
            let assigned = shared.replica.read(|machine| all_seen(machine, me));
            ledger.compare_all(me, assigned)
        } else {
            let instances = changed
                .as_ref()
                .map_or(&[][..], |changes| &changes.instances);
            if instances.is_empty() {
                Steps::default()
            } else {
                let seen = shared
                    .replica
                    .read(|machine| some_seen(machine, me, instances));
                ledger.compare(me, seen)
            }
        };
        perform(&shared, steps).await;
        shared.cancel_superseded();
    }
}

async fn perform(shared: &Arc<Shared>, steps: Steps) {
    for (instance, token) in steps.stop {
        shared.cancel(|running, call| running == instance && call.token == token);
    }
    let mut in_this_turn = 0;
    for duties in steps.begin {
        in_this_turn += duties.len();
        begin(shared, duties.into());
        if in_this_turn >= DUTIES_PER_TURN {
            in_this_turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn begin(shared: &Arc<Shared>, duties: VecDeque<Duty>) {
    let mut walked = Walked::default();
    let left = shared.walk_now(duties, &mut walked);
    if !left.is_empty() {
        tokio::spawn(Arc::clone(shared).walk(left, walked));
    }
}

fn all_seen(machine: &StateMachine, me: EngineRef) -> Vec<Seen> {
    let assigned = machine.assignments_of(me);
    assigned
        .map(|assignment| Seen {
            instance: assignment.instance,
            derived: is_derived(machine, assignment.instance),
            assignment: Some(assignment),
        })
        .collect()
}

fn some_seen(machine: &StateMachine, me: EngineRef, instances: &[InstanceId]) -> Vec<Seen> {
    let seen = |instance: &InstanceId| {
        // Most changes are of instances that others act on, or nobody: those cost a look.
        let found = machine.instance(*instance);
        let assignment = found.and_then(|found| found.row.assignment.as_deref());
        let mine = assignment.is_some_and(|assignment| assignment.engine == me && !assignment.lost);
        Seen {
            instance: *instance,
            assignment: mine.then(|| machine.assignment(*instance)).flatten(),
            derived: found.is_some_and(|found| found.row.traits.derived_id),
        }
    };
    instances.iter().map(seen).collect()
}

fn is_derived(machine: &StateMachine, instance: InstanceId) -> bool {
    let instance = machine.instance(instance);
    instance.is_some_and(|instance| instance.row.traits.derived_id)
}
