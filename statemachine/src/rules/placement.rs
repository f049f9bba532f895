//! Where work may be done: hosts, placement, and what an engine must be and offer. Knows nothing of
//! load: which of the suitable engines is taken is the dispatcher's choice.

use crate::id::{EngineRef, InstanceId, ResourceId, Text};
use crate::outcome::{Refusal, WaitReason};
use crate::row::LeaseState;
use crate::state::{Engine, State};

/// The host on which the resource must be made, if it must be one. Two that differ are an error.
pub(crate) fn required_host(state: &State, id: ResourceId) -> Result<Option<Text>, (Text, Text)> {
    let resource = state.resource(id);
    let Some(desired) = resource.desired() else {
        return Ok(None);
    };
    if !desired.traits.host_bound {
        return Ok(resource
            .policy()
            .and_then(|policy| policy.placement.host.clone()));
    }
    if let Some(current) = resource.current {
        let row = &state.instance(current).row;
        if !row.is_absent() {
            return Ok(row.host.clone());
        }
    }
    let mut hosts = resource
        .row
        .requires
        .iter()
        .filter_map(|required| state.resource(*required).current)
        .filter_map(|instance| state.instance(instance).row.host.as_ref());
    let Some(first) = hosts.next() else {
        return Ok(resource
            .policy()
            .and_then(|policy| policy.placement.host.clone()));
    };
    match hosts.find(|host| *host != first) {
        Some(other) => Err((first.clone(), other.clone())),
        None => Ok(Some(first.clone())),
    }
}

/// The host on which an instance can be looked at and deleted.
pub(crate) fn instance_host(state: &State, id: InstanceId) -> Option<Text> {
    let row = &state.instance(id).row;
    match row.traits.host_bound {
        true => row.host.clone(),
        false => {
            let policy = state.resource(row.resource).policy();
            policy.and_then(|policy| policy.placement.host.clone())
        }
    }
}

/// The engine, if it is live under this incarnation.
pub(crate) fn live_engine(state: &State, engine: EngineRef) -> Result<&Engine, Refusal> {
    let found = state
        .engines
        .get(&engine.member)
        .filter(|found| found.is(engine));
    let found = found.ok_or(Refusal::EngineNotLive)?;
    match found.row.lease {
        LeaseState::Live if state.cluster.forgetting.contains(&found.row.host) => {
            let host = found.row.host.clone();
            Err(Refusal::Waits(WaitReason::HostGone(host)))
        }
        LeaseState::Live => Ok(found),
        LeaseState::Draining => Err(Refusal::EngineDraining),
        LeaseState::Expired => Err(Refusal::EngineNotLive),
    }
}

/// May this engine do work of this type, on this host, for this resource?
pub(crate) fn suits(
    state: &State,
    engine: &Engine,
    type_name: &Text,
    host: Option<&Text>,
    resource: ResourceId,
    bound: bool,
) -> Result<(), Refusal> {
    if !engine.offers(type_name) {
        return Err(Refusal::TypeNotOffered(type_name.clone()));
    }
    if let Some(host) = host
        && engine.row.host != *host
    {
        return Err(Refusal::WrongHost(host.clone()));
    }
    if bound {
        // Where it lives is decided; labels were for choosing.
        return Ok(());
    }
    let Some(policy) = state.resource(resource).policy() else {
        return Ok(());
    };
    match policy
        .placement
        .labels
        .iter()
        .find(|label| !engine.row.labels.contains(label))
    {
        Some((name, _)) => Err(Refusal::LabelMissing(name.clone())),
        None => Ok(()),
    }
}
