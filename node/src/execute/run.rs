//! The executor's loop: wakes when the replica has changed, and begins and stops what the ledger says.
//!
//! Work per wake-up is in proportion to what changed, not to what is assigned. What asks nobody outside is carried out here,
//! a little at a time, and stacks have their turns: the little of one does not wait for the much of another.

use std::sync::Arc;

use anneal_statemachine::StateMachine;
use anneal_statemachine::id::{EngineRef, InstanceId, StackId};
use tokio::sync::broadcast;

use super::facts::Walked;
use super::in_turn::InTurn;
use super::ledger::{Duty, Ledger, Seen, Steps};
use super::walk::Shared;
use crate::replica::Changes;

/// Duties carried out in one go before others on this thread have their turn.
const DUTIES_PER_TURN: usize = 64;

/// Runs for as long as the member does; dropped to stop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut ledger = Ledger::default();
    let mut changes = shared.replica.changes();
    let mut incarnation = shared.engine.incarnation();
    let mut me = None;
    let mut waiting = InTurn::default();
    loop {
        let changed = tokio::select! {
            // What is new has its turn together with what waits already.
            biased;
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
            () = tokio::task::yield_now(), if !waiting.is_empty() => {
                carry_out(&shared, &mut waiting);
                continue;
            }
        };
        let now = *incarnation.borrow_and_update();
        if now != me {
            // Whatever the old incarnation held is lost to it; its calls end with its lease.
            ledger.clear();
            waiting.clear();
        }
        let everything = now != me || changed.as_ref().is_none_or(|changes| changes.all);
        me = now;
        let Some(me) = me else { continue };
        let changed = changed.filter(|_| !everything);
        let steps = steps(&shared, &mut ledger, me, changed.as_deref());
        perform(&shared, steps, &mut waiting);
        shared.cancel_superseded();
    }
}

/// What follows from changes, or from everything.
fn steps(shared: &Shared, ledger: &mut Ledger, me: EngineRef, changed: Option<&Changes>) -> Steps {
    match changed.map(|changes| &changes.instances[..]) {
        None => {
            let assigned = shared.replica.read(|machine| all_seen(machine, me));
            ledger.compare_all(me, assigned)
        }
        Some([]) => Steps::default(),
        Some(instances) => {
            let seen = shared
                .replica
                .read(|machine| some_seen(machine, me, instances));
            ledger.compare(me, seen)
        }
    }
}

/// Stops and begins; what can be carried out here waits for its turn.
fn perform(shared: &Arc<Shared>, steps: Steps, waiting: &mut InTurn<StackId, Vec<Duty>>) {
    for (instance, token) in steps.stop {
        shared.cancel(|running, call| running == instance && call.token == token);
    }
    for duties in steps.begin {
        match duties.first() {
            Some(first) if first.derived => waiting.push_back(first.assignment.stack, duties),
            _ => begin(shared, duties),
        }
    }
}

/// A turn's worth of what waits.
fn carry_out(shared: &Arc<Shared>, waiting: &mut InTurn<StackId, Vec<Duty>>) {
    let mut in_this_turn = 0;
    while in_this_turn < DUTIES_PER_TURN
        && let Some((_, duties)) = waiting.pop()
    {
        in_this_turn += duties.len();
        begin(shared, duties);
    }
}

fn begin(shared: &Arc<Shared>, duties: Vec<Duty>) {
    let mut walked = Walked::default();
    let left = shared.walk_now(duties.into(), &mut walked);
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
