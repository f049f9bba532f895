//! Unmake: one way, in order. Whether an unwanted instance may be deleted now, and if not, why.

use crate::command::DeletionPolicy;
use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId};
use crate::outcome::WaitReason;
use crate::row::{Action, Role};
use crate::rules::Standing;
use crate::state::{Slot, State};
use crate::turn::Turn;

/// Where the deletion of an instance stands. `covered` says of an instance that it is deleted earlier
/// in the same chunk.
pub(crate) fn delete_standing(
    state: &State,
    id: InstanceId,
    covered: impl Fn(InstanceId) -> bool,
) -> Standing {
    let instance = state.instance(id);
    if let Some(flight) = instance.row.flight() {
        return Standing::Waits(WaitReason::InFlight {
            action: flight.action,
            engine: flight.engine,
        });
    }
    if state.wanted(id) || !instance.row.is_present() {
        return Standing::Nothing;
    }
    if let Some(wait) = kept(state, id, covered) {
        return Standing::Waits(wait);
    }
    let Some(trouble) = &instance.trouble else {
        return Standing::Now(Action::Delete);
    };
    let attempts = trouble.attempts;
    if trouble.failed {
        return Standing::Waits(WaitReason::Failed { attempts });
    }
    let not_before_ms = trouble.not_before_ms;
    let reason = WaitReason::BackingOff {
        attempts,
        not_before_ms,
    };
    Standing::Later(Action::Delete, not_before_ms, reason)
}

/// Why an unwanted instance is still kept.
fn kept(state: &State, id: InstanceId, covered: impl Fn(InstanceId) -> bool) -> Option<WaitReason> {
    let row = &state.instance(id).row;
    let still = |requirer: InstanceId| {
        let owner = state.instance(requirer).row.resource;
        WaitReason::StillRequired {
            first: state.resource(owner).row.name.clone(),
        }
    };
    let desired = state.resource(row.resource).definition().is_some();
    if makes_way(state, id) {
        return state
            .requirers_of(id)
            .find(|requirer| !covered(*requirer) && goes_before(state, *requirer))
            .map(still);
    }
    if let Role::Deposed { .. } = row.role
        && desired
        && !row.condemned
        && !state.resource(row.resource).settled
    {
        return Some(WaitReason::SuccessorNotSettled);
    }
    state
        .requirers_of(id)
        .find(|requirer| !covered(*requirer))
        .map(still)
}

/// It goes although others require it: the next instance of its resource can't be made before it is gone, and those
/// that require it wait for that one. Waiting for all of them to go would be waiting for ever. So it is with a
/// `delete_first` predecessor, and with a current instance whose deletion was begun, or that is half-made, while its
/// resource is wanted (again).
pub(crate) fn makes_way(state: &State, id: InstanceId) -> bool {
    let row = &state.instance(id).row;
    row.may_make_way() && state.resource(row.resource).definition().is_some()
}

/// One that requires an instance about to be deleted first: is it busy, in doubt, or about to go?
fn goes_before(state: &State, requirer: InstanceId) -> bool {
    let instance = state.instance(requirer);
    instance.row.flight().is_some()
        || instance.row.is_unknown()
        || (!state.wanted(requirer) && instance.slot != Slot::None)
}

/// An instance that would be deleted now and is to be retained. What was made half-way, or found late, never was the
/// resource.
fn to_retain(state: &State, id: ResourceId) -> Option<InstanceId> {
    let policy = state.resource(id).policy()?;
    if policy.deletion != DeletionPolicy::Retain {
        return None;
    }
    let whole = |instance: &InstanceId| !state.instance(*instance).row.condemned;
    let mut instances = state.instances_of(id).filter(whole);
    instances.find(|instance| {
        let standing = delete_standing(state, *instance, |_| false);
        matches!(
            standing,
            Standing::Now(_) | Standing::Later(..) | Standing::Waits(WaitReason::Failed { .. })
        )
    })
}

impl Turn<'_> {
    /// `deletion_policy: retain` forgets what would be deleted, once nothing else follows from the entry: who goes before
    /// it is known only then, and what is forgotten stays forgotten. False: nothing is to be forgotten.
    pub(crate) fn retain_next(&mut self) -> bool {
        while let Some(id) = self.retaining.pop_first() {
            if !self.state.resources.contains_key(&id) {
                continue;
            }
            if let Some(instance) = to_retain(self.state, id) {
                self.let_go(instance);
                return true;
            }
        }
        false
    }

    fn let_go(&mut self, instance: InstanceId) {
        self.tell_instance(
            instance,
            EventKind::Forgotten,
            "retained: forgotten, not deleted",
        );
        let left = self.state.instance(instance).row.physical_id.clone();
        self.forget(instance);
        if let Some(tombstone) = self.state.tombstones.get_mut(&instance) {
            tombstone.retained = left;
            self.touch_tombstone(instance);
        }
    }

    /// Notes that the resource may have something to retain.
    pub(crate) fn note_retained(&mut self, id: ResourceId) {
        if to_retain(self.state, id).is_some() {
            self.retaining.insert(id);
        }
    }

    /// Keeps the stack's count of unwanted instances.
    pub(crate) fn count_unwanted(&mut self, id: InstanceId, unwanted: bool) {
        let instance = self.state.instance_mut(id);
        if instance.unwanted == unwanted {
            return;
        }
        instance.unwanted = unwanted;
        let owner: ResourceId = instance.row.resource;
        let stack = self.state.resource(owner).row.stack;
        let count = &mut self.state.stack_mut(stack).unwanted;
        match unwanted {
            true => *count += 1,
            false => *count -= 1,
        }
        self.stack_moved(stack);
        self.wake_blocked(id);
    }
}
