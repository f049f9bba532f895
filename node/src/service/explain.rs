//! Why a stack or a resource is not further than it is, and what it waits for.

use anneal_proto::v1;
use anneal_statemachine::{
    StateMachine,
    id::{ResourceId, StackId},
    outcome::{Rejection, WaitReason},
    view::Phase,
};
use tonic::Status;

use super::{stack::reason, stacks::no_stack, status::refused};
use crate::replica::Replica;

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
    replica.read(|state| match resource {
        "" => explain_stack(state, stack).ok_or_else(|| no_stack("")),
        name => state
            .resource_named(stack, name)
            .and_then(|id| explain_resource(state, id))
            .ok_or_else(|| no_resource(name)),
    })
}

pub(crate) fn no_resource(name: &str) -> Status {
    let name = name.into();
    refused(Rejection::ResourceNotFound { name }.into())
}

fn explain_stack(state: &StateMachine, stack: StackId) -> Option<v1::ExplainReply> {
    let view = state.stack(stack)?;
    let mut reasons = Vec::new();
    let whole = reason(state, &view);
    if !whole.is_empty() {
        reasons.push(whole);
    }
    let mut found: Vec<(u8, String, String)> = state
        .resources_after(stack, None)
        .take(LOOKED_AT)
        .filter_map(|id| {
            let resource = state.resource(id)?;
            let phase = resource.phase.filter(|phase| *phase != Phase::Settled)?;
            let why = state.explain(id)?;
            let name = resource.name.to_string();
            Some((weight(phase), format!("{name}: {why}"), name))
        })
        .collect();
    found.sort();
    found.truncate(NAMED);
    let blockers = found.iter().map(|(_, _, name)| name.clone()).collect();
    reasons.extend(found.into_iter().map(|(_, why, _)| why));
    Some(v1::ExplainReply {
        status: view.status.word().to_owned(),
        reasons,
        blockers,
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

fn explain_resource(state: &StateMachine, id: ResourceId) -> Option<v1::ExplainReply> {
    let view = state.resource(id)?;
    let mut reasons = vec![state.explain(id)?.to_string()];
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
            reasons.push(format!("{}: {why}", below.name));
        }
        at = next;
    }
    for deposed in state.deposed(id) {
        let why = state.explain_instance(deposed.id);
        reasons.extend(why.map(|why| format!("deposed instance {}: {why}", deposed.id)));
    }
    Some(v1::ExplainReply {
        status: view.phase?.word().to_owned(),
        reasons,
        blockers,
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
