//! The state machine's own answers, held against the reference's. What the crate keeps by increments must be what the
//! reference works out anew.

use std::collections::BTreeSet;

use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{AssignWork, Command};
use anneal_statemachine::id::StackId;
use anneal_statemachine::outcome::{Applied, WaitReason};
use anneal_statemachine::view::{Phase as StatePhase, Status, Work};

use super::laws::{Broken, broken};
use super::leader::candidates;
use crate::reference::{Obstacle, Phase, Reference, Rows, Standing};

/// The state machine under test.
pub struct Machine(StateMachine);

impl Machine {
    /// An empty one.
    pub fn new() -> Self {
        Machine(StateMachine::new())
    }

    /// One loaded from rows.
    pub fn load(rows: &Rows) -> Result<Self, Broken> {
        match StateMachine::load(rows.clone()) {
            Ok(machine) => Ok(Machine(machine)),
            Err(error) => broken("rows can be loaded", error.to_string()),
        }
    }

    /// To be read.
    pub fn state(&self) -> &StateMachine {
        &self.0
    }

    /// Applies an entry.
    pub fn apply(&mut self, index: u64, command: &Command) -> Applied {
        self.0.apply(index, command.clone())
    }
}

const LAW: &str = "what is kept is what follows from the rows";

/// Compares every incremental answer with the reference.
pub fn compare(machine: &Machine, now: &Reference) -> Result<(), Broken> {
    let machine = &machine.0;
    let stacks: BTreeSet<StackId> = machine.stacks().map(|stack| stack.id).collect();
    if stacks != now.stacks.keys().copied().collect() {
        return broken(LAW, format!("stacks {stacks:?}"));
    }
    if machine.wants_advance() != now.wants_advance() {
        return broken(LAW, format!("something waits: {}", machine.wants_advance()));
    }
    phases(machine, now)?;
    for id in stacks {
        stack(machine, now, id)?;
    }
    instances(machine, now)?;
    work(machine, now)
}

fn phases(machine: &StateMachine, now: &Reference) -> Result<(), Broken> {
    for id in now.resources.keys() {
        let Some(view) = machine.resource(*id) else {
            return broken(LAW, format!("r{id} is not known"));
        };
        let expected = now.phase(*id).map(same_phase);
        if view.phase != expected {
            let text = format!("r{id} is {:?}, and should be {expected:?}", view.phase);
            return broken("phases are what follows from the rows", text);
        }
        let row = now.resources[id];
        let unsettled = row
            .requires
            .iter()
            .filter(|below| !now.stands_firm_on(*id, **below))
            .count();
        if view.unsettled as usize != unsettled {
            let text = format!(
                "r{id} counts {} unsettled, there are {unsettled}",
                view.unsettled
            );
            return broken("counters of the unsettled are right", text);
        }
        reason(machine, now, *id)?;
    }
    Ok(())
}

/// The reason given to people fits what is in the way.
fn reason(
    machine: &StateMachine,
    now: &Reference,
    id: anneal_statemachine::id::ResourceId,
) -> Result<(), Broken> {
    let Some(given) = machine.explain(id) else {
        return broken(LAW, format!("r{id} is not explained"));
    };
    let settled = now.settled[&id];
    let misfit = match now.phase(id) {
        Some(Phase::Settled) => !settled,
        Some(Phase::Ready) => !matches!(
            given,
            WaitReason::Ready
                | WaitReason::Stack(_)
                | WaitReason::HostGone(_)
                | WaitReason::TypeNotOffered(_)
                | WaitReason::BackingOff { .. }
                | WaitReason::UnwantedFirst(_)
        ),
        Some(Phase::InFlight) => !matches!(given, WaitReason::InFlight { .. }),
        Some(Phase::OnHold) => !matches!(given, WaitReason::OnHold(_)),
        Some(Phase::Failed) => !matches!(
            given,
            WaitReason::Failed { .. } | WaitReason::HostsDiffer(..)
        ),
        Some(Phase::Waiting) => matches!(given, WaitReason::Settled),
        Some(Phase::Unwanted) | None => false,
    };
    if misfit {
        let text = format!("r{id} is {:?}, the reason given is: {given}", now.phase(id));
        return broken("the reason given is a true one", text);
    }
    Ok(())
}

fn same_phase(phase: Phase) -> StatePhase {
    match phase {
        Phase::Waiting => StatePhase::Waiting,
        Phase::Ready => StatePhase::Ready,
        Phase::InFlight => StatePhase::InFlight,
        Phase::Settled => StatePhase::Settled,
        Phase::Failed => StatePhase::Failed,
        Phase::OnHold => StatePhase::OnHold,
        Phase::Unwanted => StatePhase::Unwanted,
    }
}

fn stack(machine: &StateMachine, now: &Reference, id: StackId) -> Result<(), Broken> {
    let view = machine.stack(id).expect("it was listed");
    if view.row != now.stacks[&id] {
        return broken(LAW, format!("stack {id}: {:?}", view.row));
    }
    let count = |phase: Phase| {
        let all = now.resources.iter().filter(|(_, row)| row.stack == id);
        all.filter(|(resource, _)| now.phase(**resource) == Some(phase))
            .count() as u64
    };
    let counts = [
        (view.counts.waiting, Phase::Waiting),
        (view.counts.ready, Phase::Ready),
        (view.counts.in_flight, Phase::InFlight),
        (view.counts.settled, Phase::Settled),
        (view.counts.failed, Phase::Failed),
        (view.counts.on_hold, Phase::OnHold),
        (view.counts.unwanted, Phase::Unwanted),
    ];
    for (kept, phase) in counts {
        if kept != count(phase) {
            let text = format!(
                "stack {id} counts {kept} {phase:?}, there are {}",
                count(phase)
            );
            return broken("counts per phase are right", text);
        }
    }
    let mine = |instance: &&anneal_statemachine::id::InstanceId| {
        now.resources[&now.instances[*instance].resource].stack == id
    };
    let running = now
        .instances
        .keys()
        .filter(mine)
        .filter(|i| now.in_flight(**i))
        .count() as u64;
    let unwanted = now
        .instances
        .keys()
        .filter(mine)
        .filter(|i| now.unwanted(**i))
        .count() as u64;
    if (view.running, view.unwanted) != (running, unwanted) {
        let text = format!(
            "stack {id} counts {} running and {} unwanted, there are {running} and {unwanted}",
            view.running, view.unwanted
        );
        return broken("counts per phase are right", text);
    }
    let expected = match now.standing(id) {
        Standing::Converged => Status::Converged,
        Standing::Deleting => Status::Deleting,
        Standing::Paused => Status::Paused,
        Standing::Converging => Status::Converging,
        Standing::Failed => Status::Failed,
    };
    if view.status != expected || view.can_move != now.can_move(id) {
        let text = format!(
            "stack {id} is {:?} (can move: {}), and should be {expected:?} ({})",
            view.status,
            view.can_move,
            now.can_move(id)
        );
        return broken("the status is what follows from the rows", text);
    }
    Ok(())
}

fn instances(machine: &StateMachine, now: &Reference) -> Result<(), Broken> {
    for (id, row) in &now.instances {
        let Some(view) = machine.instance(*id) else {
            return broken(LAW, format!("i{id} is not known"));
        };
        if view.row != *row || view.wanted == now.unwanted(*id) {
            return broken(
                LAW,
                format!(
                    "i{id}: {:?}, wanted {}; the row says {row:?}",
                    view.row, view.wanted
                ),
            );
        }
        if machine.assignment(*id).is_some() != now.in_flight(*id) {
            return broken(LAW, format!("i{id}: {:?}", machine.assignment(*id)));
        }
    }
    for (member, row) in &now.engines {
        let Some(view) = machine.engine(*member) else {
            return broken(LAW, format!("engine {member}"));
        };
        let held: BTreeSet<_> = machine
            .assignments_of(view.engine)
            .map(|held| held.instance)
            .collect();
        let expected: BTreeSet<_> = now
            .instances
            .iter()
            .filter(|(id, instance)| {
                now.in_flight(**id)
                    && instance.assignment.as_ref().is_some_and(|a| {
                        a.engine.member == *member && a.engine.incarnation == row.incarnation
                    })
            })
            .map(|(id, _)| *id)
            .collect();
        if held != expected || view.in_flight != expected.len() {
            let text = format!("engine {member} must run {held:?}, and should {expected:?}");
            return broken("engines are told what the rows say", text);
        }
    }
    Ok(())
}

/// The dispatcher's lists hold exactly what may start now.
fn work(machine: &StateMachine, now: &Reference) -> Result<(), Broken> {
    let listed: BTreeSet<Work> = now
        .stacks
        .keys()
        .flat_map(|id| machine.ready_in(*id, now.now_ms))
        .collect();
    let mut expected = BTreeSet::new();
    for candidate in candidates(now) {
        let work = match candidate.work {
            AssignWork::Make { resource, .. } => Work::Make(resource),
            AssignWork::Look { instance } => Work::Look(instance),
            AssignWork::Delete { instance } => Work::Delete(instance),
        };
        let stopped = matches!(candidate.obstacle, Some(Obstacle::Stack(_)));
        if candidate.obstacle.is_none() {
            expected.insert(work);
        }
        let view = machine.work(work);
        let startable = candidate.obstacle.is_none() || stopped;
        let timed = matches!(
            candidate.obstacle,
            Some(Obstacle::BackingOff | Obstacle::LateEffect)
        );
        if view.is_some() != (startable || timed) {
            let text = format!("{work:?}: {view:?} although {:?}", candidate.obstacle);
            return broken("work is listed when it may start", text);
        }
    }
    if listed != expected {
        let text = format!("listed {listed:?}, and should be {expected:?}");
        return broken("work is listed when it may start", text);
    }
    let ready: BTreeSet<StackId> = machine.ready_stacks(.., now.now_ms).collect();
    let should: BTreeSet<StackId> = now
        .stacks
        .keys()
        .copied()
        .filter(|id| machine.ready_in(*id, now.now_ms).next().is_some())
        .collect();
    if ready != should {
        return broken(
            "work is listed when it may start",
            format!("stacks {ready:?}, and should be {should:?}"),
        );
    }
    Ok(())
}
