//! Why a stack or a resource is not further than it is, and what it waits for.

use anneal_proto::v1;
use anneal_statemachine::{
    StateMachine,
    id::{InstanceId, ResourceId, StackId},
    outcome::{Rejection, WaitReason},
    view::Phase,
};
use tonic::Status;

use super::{
    resource::{declared_only, join, words_about},
    stack::reason,
    stacks::no_stack,
    status::{refused, storage},
};
use crate::replica::{Replica, Rows};

/// Resources that an explanation names.
const NAMED: usize = 10;
/// Resources looked at to find those that say most.
const LOOKED_AT: usize = 1000;
/// How deep what is waited for is followed.
const DEPTH: usize = 64;

/// Explains a resource, or the stack if the name is empty.
pub(crate) fn explain(
    replica: &Replica,
    stack: StackId,
    resource: &str,
) -> Result<v1::ExplainReply, Status> {
    let explained = replica.read_then(
        |state| match resource {
            "" => explain_stack(state, stack),
            name => match state.resource_named(stack, name) {
                Some(id) => explain_resource(state, id),
                None => explain_declared(state, stack, name),
            },
        },
        |explained, rows| Some(explained?.with_words(rows)),
    );
    match (explained, resource) {
        (Some(explained), _) => explained.map_err(storage),
        (None, "") => Err(no_stack("")),
        (None, name) => Err(no_resource(name)),
    }
}

/// An explanation, with the resources whose failures its reasons are about.
struct Explained {
    reply: v1::ExplainReply,
    /// By place among the reasons.
    failed: Vec<(usize, ResourceId, Option<InstanceId>)>,
}

impl Explained {
    /// The provider's words come after what follows from them.
    fn with_words(mut self, rows: &Rows<'_>) -> std::io::Result<v1::ExplainReply> {
        for (place, resource, current) in self.failed {
            let words = words_about(rows, resource, current)?;
            join(&mut self.reply.reasons[place], words);
        }
        Ok(self.reply)
    }
}

fn current(state: &StateMachine, id: ResourceId) -> Option<InstanceId> {
    Some(state.resource(id)?.current?.id)
}

pub(crate) fn no_resource(name: &str) -> Status {
    let name = name.into();
    refused(Rejection::ResourceNotFound { name }.into())
}

fn explain_stack(state: &StateMachine, stack: StackId) -> Option<Explained> {
    let view = state.stack(stack)?;
    let mut reasons = Vec::new();
    let whole = reason(state, &view);
    if !whole.is_empty() {
        reasons.push(whole);
    }
    let mut found: Vec<(u8, String, String, ResourceId)> = state
        .resources_after(stack, None)
        .take(LOOKED_AT)
        .filter_map(|id| {
            let resource = state.resource(id)?;
            let phase = resource.phase.filter(|phase| *phase != Phase::Settled)?;
            let why = state.explain(id)?;
            let name = resource.name.to_string();
            Some((weight(phase), format!("{name}: {why}"), name, id))
        })
        .collect();
    found.sort();
    found.truncate(NAMED);
    let blockers = found.iter().map(|(_, _, name, _)| name.clone()).collect();
    let failed = (reasons.len()..).zip(&found);
    let failed = failed
        .filter(|(_, (weighs, ..))| *weighs == weight(Phase::Failed))
        .map(|(place, (.., id))| (place, *id, current(state, *id)))
        .collect();
    reasons.extend(found.into_iter().map(|(_, why, ..)| why));
    Some(Explained {
        reply: v1::ExplainReply {
            status: view.status.word().to_owned(),
            reasons,
            blockers,
        },
        failed,
    })
}

/// What a person has to act on comes first, what merely follows from something else last.
fn weight(phase: Phase) -> u8 {
    match phase {
        Phase::OnHold => 0,
        Phase::Failed => 1,
        Phase::Unwanted => 2,
        Phase::InFlight => 3,
        Phase::Ready => 4,
        Phase::Waiting => 5,
        Phase::Settled => 6,
    }
}

/// A change that declares it has been accepted, and not been taken in that far.
fn explain_declared(state: &StateMachine, stack: StackId, name: &str) -> Option<Explained> {
    let resource = declared_only(state, stack, name)?;
    Some(Explained {
        reply: v1::ExplainReply {
            status: resource.phase,
            reasons: vec![resource.reason],
            blockers: Vec::new(),
        },
        failed: Vec::new(),
    })
}

fn explain_resource(state: &StateMachine, id: ResourceId) -> Option<Explained> {
    let view = state.resource(id)?;
    let why = state.explain(id)?;
    let mut failed = Vec::new();
    if matches!(
        why,
        WaitReason::Failed { .. } | WaitReason::BackingOff { .. }
    ) {
        failed.push((0, id, current(state, id)));
    }
    let mut reasons = vec![why.to_string()];
    let blockers = blockers(state, id);
    // Down to what does not wait for anything else in the stack.
    let mut at = id;
    for _ in 0..DEPTH {
        let Some(next) = unsettled_below(state, at) else {
            break;
        };
        let (Some(below), Some(why)) = (state.resource(next), state.explain(next)) else {
            break;
        };
        if !matches!(why, WaitReason::Requires { .. }) || reasons.len() < 2 {
            if matches!(why, WaitReason::Failed { .. }) {
                failed.push((reasons.len(), next, current(state, next)));
            }
            reasons.push(format!("{}: {why}", below.name));
        }
        at = next;
    }
    for deposed in state.deposed(id) {
        let why = state.explain_instance(deposed.id);
        reasons.extend(why.map(|why| format!("deposed instance {}: {why}", deposed.id)));
    }
    Some(Explained {
        reply: v1::ExplainReply {
            status: view.phase?.word().to_owned(),
            reasons,
            blockers,
        },
        failed,
    })
}

fn blockers(state: &StateMachine, id: ResourceId) -> Vec<String> {
    let unsettled = |id: &&ResourceId| is_unsettled(state, **id);
    let mut names: Vec<String> = state
        .requires(id)
        .iter()
        .filter(unsettled)
        .filter_map(|id| Some(state.resource(*id)?.name.to_string()))
        .collect();
    names.sort();
    names.truncate(NAMED);
    names
}

fn unsettled_below(state: &StateMachine, id: ResourceId) -> Option<ResourceId> {
    let requires = state.requires(id).iter().copied();
    let mut unsettled = requires.filter(|id| is_unsettled(state, *id));
    unsettled.next()
}

fn is_unsettled(state: &StateMachine, id: ResourceId) -> bool {
    let phase = state.resource(id).and_then(|view| view.phase);
    phase.is_some_and(|phase| phase != Phase::Settled)
}
