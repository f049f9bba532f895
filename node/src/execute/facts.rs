//! What the replica says about a duty at the moment before its call: whether it may begin, and with what.
//!
//! Reads memory only, under the replica's lock, and little of it. Knows nothing of rows, providers or leases.

use std::collections::BTreeSet;

use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{Reference, TypeTraits};
use anneal_statemachine::digest::Digest;
use anneal_statemachine::id::{InstanceId, Text};
use anneal_statemachine::row::Action;
use anneal_statemachine::view::{AssignmentView, Footing};

use super::ledger::Duty;
use super::values::Produced;

/// Why a duty is not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotBegun {
    /// The replica has no such assignment any more: there is nobody to answer.
    #[error("the assignment does not stand any more")]
    Over,
    /// Something else is wanted by now, or the stack starts nothing.
    #[error("something else is wanted by now, or nothing new may start")]
    Revoked,
    /// What it stands on has moved, or never came to be.
    #[error("{0}, which it requires, is not what it was")]
    Footing(Text),
    /// An earlier step of the same chunk did not end well.
    #[error("instance {0}, which comes first in the same chunk, did not come to be")]
    Predecessor(InstanceId),
    /// Instances still require what is to be deleted.
    #[error("it is still required by instance {0}")]
    StillRequired(InstanceId),
    /// The lease or the call's time is over, or it was cancelled.
    #[error("its time was over before it was begun")]
    TooLate,
    /// This engine takes nothing new.
    #[error("the engine is draining")]
    Draining,
    /// The definition is not in the replica: it can't be carried out.
    #[error("the definition is not there")]
    NoDefinition,
    /// No provider of this engine has the type.
    #[error("no provider of this engine has the type {0}")]
    NoProvider(Text),
}

/// What an action needs to know from memory.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The assignment as it is now.
    pub(crate) assignment: AssignmentView,
    /// The stack's name.
    pub(crate) stack_name: Text,
    /// The stack's parameter values.
    pub(crate) parameters: Option<Digest>,
    /// What its type can do.
    pub(crate) traits: TypeTraits,
    /// Where each reference's value is; none where nothing is there.
    pub(crate) sources: Vec<(Reference, Option<InstanceId>)>,
}

/// What has been done in the same chunk before.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Values of what was made.
    pub(crate) produced: Produced,
    /// Instances that came to be, and those that are gone.
    pub(crate) done: BTreeSet<InstanceId>,
}

/// Looks whether a duty may begin now.
pub(crate) fn gather(
    machine: &StateMachine,
    duty: &Duty,
    references: &[Reference],
    walked: &Walked,
) -> Result<Facts, NotBegun> {
    let instance = duty.assignment.instance;
    let assignment = machine.assignment(instance).ok_or(NotBegun::Over)?;
    if assignment.token != duty.assignment.token || assignment.engine != duty.assignment.engine {
        return Err(NotBegun::Over);
    }
    if assignment.revoked {
        return Err(NotBegun::Revoked);
    }
    match assignment.action {
        Action::Create | Action::Update => footing(machine, instance, walked)?,
        Action::Delete => nothing_stands_on(machine, instance, walked)?,
        Action::Look => {}
    }
    let row = machine.instance(instance).ok_or(NotBegun::Over)?.row;
    let stack = machine.stack(assignment.stack).ok_or(NotBegun::Over)?;
    let source = |reference: &Reference| {
        // While an update runs, it is built on old and new; the present one is what it is to use.
        let named = machine.resource_named(assignment.stack, &reference.resource);
        let named = named.and_then(|named| machine.resource(named));
        (
            reference.clone(),
            named.and_then(|named| Some(named.current?.id)),
        )
    };
    Ok(Facts {
        stack_name: stack.row.name.clone(),
        parameters: stack.row.parameters,
        traits: row.traits,
        sources: references.iter().map(source).collect(),
        assignment: assignment.clone(),
    })
}

/// Everything that it will have been built on is settled, or done in this chunk.
fn footing(machine: &StateMachine, instance: InstanceId, walked: &Walked) -> Result<(), NotBegun> {
    match machine.footing(instance).ok_or(NotBegun::Over)? {
        Footing::Firm => Ok(()),
        Footing::InChunk(first) => match first.iter().find(|first| !walked.done.contains(first)) {
            Some(missing) => Err(NotBegun::Predecessor(*missing)),
            None => Ok(()),
        },
        Footing::Moved(name) => Err(NotBegun::Footing(name)),
    }
}

/// Nothing was built on it but what was deleted in this chunk.
fn nothing_stands_on(
    machine: &StateMachine,
    instance: InstanceId,
    walked: &Walked,
) -> Result<(), NotBegun> {
    let mut upon = machine.built_upon(instance);
    match upon.find(|other| !walked.done.contains(other)) {
        Some(other) => Err(NotBegun::StillRequired(other)),
        None => Ok(()),
    }
}
