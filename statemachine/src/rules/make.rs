//! Make: whether a resource may be created or updated now, and if not, why. Knows nothing of engines
//! beyond their hosts.

use crate::id::{InstanceId, ResourceId};
use crate::outcome::WaitReason;
use crate::row::Action;
use crate::rules::Standing;
use crate::rules::look::{creatable, look_standing};
use crate::rules::placement::required_host;
use crate::state::State;

/// Where the making of a resource stands. `covered` says of an unsettled requirement that it is made
/// earlier in the same chunk.
pub(crate) fn make_standing(
    state: &State,
    id: ResourceId,
    covered: impl Fn(ResourceId) -> bool,
) -> Standing {
    let resource = state.resource(id);
    if resource.definition().is_none() || resource.settled {
        return Standing::Nothing;
    }
    if let Some(wait) = current_waits(state, id) {
        return Standing::Waits(wait);
    }
    if let Some(wait) = requirements_wait(state, id, covered) {
        return Standing::Waits(wait);
    }
    if let Err((one, other)) = required_host(state, id) {
        return Standing::Waits(WaitReason::HostsDiffer(one, other));
    }
    let action = match due_action(state, id) {
        Ok(action) => action,
        Err(wait) => return Standing::Waits(wait),
    };
    let Some(trouble) = &resource.trouble else {
        return Standing::Now(action);
    };
    if let Some(holder) = name_held(state, id) {
        return Standing::Waits(WaitReason::NameHeld(holder));
    }
    let attempts = trouble.attempts;
    if trouble.failed {
        return Standing::Waits(WaitReason::Failed { attempts });
    }
    let not_before_ms = trouble.not_before_ms;
    let reason = WaitReason::BackingOff {
        attempts,
        not_before_ms,
    };
    Standing::Later(action, not_before_ms, reason)
}

/// Who holds the name that the resource needs, and is on its way out.
pub(crate) fn name_held(state: &State, id: ResourceId) -> Option<InstanceId> {
    let holder = state.resource(id).trouble.as_ref()?.holder?;
    let instance = state.instances.get(&holder)?;
    instance.unwanted.then_some(holder)
}

/// Something is going on with the current instance that comes first.
fn current_waits(state: &State, id: ResourceId) -> Option<WaitReason> {
    let current = state.resource(id).current?;
    let row = &state.instance(current).row;
    if let Some(flight) = row.flight() {
        return Some(WaitReason::InFlight {
            action: flight.action,
            engine: flight.engine,
        });
    }
    if row.is_unknown() && !creatable(state, current) {
        return Some(match look_standing(state, current) {
            Standing::Later(_, _, reason) | Standing::Waits(reason) => reason,
            Standing::Now(_) | Standing::Nothing => WaitReason::Ready,
        });
    }
    None
}

fn requirements_wait(
    state: &State,
    id: ResourceId,
    covered: impl Fn(ResourceId) -> bool,
) -> Option<WaitReason> {
    let resource = state.resource(id);
    if resource.unsettled == 0 {
        return None;
    }
    let open =
        |required: &&ResourceId| !state.takes_for_settled(**required, id) && !covered(**required);
    let first = resource.row.requires.iter().find(open)?;
    Some(WaitReason::Requires {
        first: state.resource(*first).row.name.clone(),
        count: resource.unsettled,
    })
}

/// Make rules 3 and 4.
fn due_action(state: &State, id: ResourceId) -> Result<Action, WaitReason> {
    let resource = state.resource(id);
    if let Some(current) = resource.current {
        let instance = state.instance(current);
        if instance.row.is_present() && !state.wanted(current) {
            return Err(WaitReason::UnwantedFirst(current));
        }
        let count = instance.busy_requirers;
        if count > 0 {
            return Err(WaitReason::RequirersInFlight { count });
        }
        if instance.row.is_present() {
            return Ok(Action::Update);
        }
    }
    let predecessor = resource
        .deposed()
        .find(|deposed| state.instance(*deposed).row.goes_first());
    match predecessor {
        Some(predecessor) => Err(WaitReason::PredecessorFirst(predecessor)),
        None => Ok(Action::Create),
    }
}
