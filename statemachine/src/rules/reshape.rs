//! Which instance is the current one: forgetting what never came to be, taking back, replacing. Needs
//! no provider and no entry of its own. Knows nothing of engines.

use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId};
use crate::row::{Observed, Role};
use crate::rules::look::creatable;
use crate::rules::settle::desired_fingerprint;
use crate::state::State;
use crate::turn::Turn;

impl Turn<'_> {
    /// Takes one step, if one is due. True: look again.
    pub(crate) fn reshape(&mut self, id: ResourceId) -> bool {
        self.heal_due(id)
            || self.forget_absent(id)
            || (self.is_heard(id) && (self.take_back_due(id) || self.replace_other_type(id)))
    }

    /// Drift that was only told is healed once the policy says so.
    fn heal_due(&mut self, id: ResourceId) -> bool {
        let Some(current) = self.state.resource(id).current else {
            return false;
        };
        self.state.instance(current).row.drift.is_some() && self.heal_reported(current)
    }

    /// Nothing is there and nothing is wanted: nothing is left to be done.
    fn forget_absent(&mut self, id: ResourceId) -> bool {
        let leftover = self.state.instances_of(id).find(|instance| {
            self.state.instance(*instance).row.is_absent()
                && (!self.state.wanted(*instance) || is_spent(self.state, *instance))
        });
        if let Some(instance) = leftover {
            self.forget(instance);
        }
        leftover.is_some()
    }

    /// Make rule 2, and the way back from a successor that never came to be.
    fn take_back_due(&mut self, id: ResourceId) -> bool {
        let Some(deposed) = to_take_back(self.state, id) else {
            return false;
        };
        if let Some(current) = self.state.resource(id).current {
            if self.state.instance(current).row.is_absent() {
                self.forget(current);
            } else {
                self.depose(current, false);
            }
        }
        self.set_role(deposed, Role::Current);
        self.end_precedence(id);
        if self.state.resource_mut(id).row.replacing.take().is_some() {
            self.touch_resource(id);
        }
        self.tell_instance(
            deposed,
            EventKind::TakenBack,
            "the earlier instance is current again",
        );
        true
    }

    /// There is no successor any more that others would have to go before.
    fn end_precedence(&mut self, id: ResourceId) {
        let deposed: Vec<InstanceId> = self.state.resource(id).deposed().collect();
        for instance in deposed {
            if let Role::Deposed {
                since,
                before_successor: true,
            } = self.state.instance(instance).row.role
            {
                let role = Role::Deposed {
                    since,
                    before_successor: false,
                };
                self.set_role(instance, role);
            }
        }
    }

    /// An instance of another type can't be updated: it is replaced without asking.
    fn replace_other_type(&mut self, id: ResourceId) -> bool {
        let resource = self.state.resource(id);
        let (Some(current), Some(definition)) = (resource.current, resource.definition()) else {
            return false;
        };
        let row = &self.state.instance(current).row;
        let catalogue = &self.state.catalogue;
        if resource.unsettled > 0
            || !row.is_present()
            || !self.state.wanted(current)
            || catalogue.definition(row.definition).type_name
                == catalogue.definition(definition).type_name
        {
            return false;
        }
        self.replace(id, "its type has changed");
        true
    }

    /// Deposes the current instance, so that a successor is made.
    pub(crate) fn replace(&mut self, id: ResourceId, because: &str) {
        let resource = self.state.resource(id);
        let current = resource.current.expect("only what is there is replaced");
        let delete_first = resource.policy().is_some_and(|policy| {
            policy.replacement == crate::command::ReplacementPolicy::DeleteFirst
        });
        let wanted = desired_fingerprint(self.state, id).map(Box::new);
        self.tell_instance(current, EventKind::Replacing, because);
        self.depose(current, delete_first);
        self.state.resource_mut(id).row.replacing = wanted;
        self.touch_resource(id);
        self.enqueue(id);
    }

    pub(crate) fn depose(&mut self, id: InstanceId, before_successor: bool) {
        let role = Role::Deposed {
            since: self.index,
            before_successor,
        };
        self.set_role(id, role);
    }
}

/// Nothing came of it, a lost call may yet be heard of, and what is made next may be of another type or
/// on another host: then a late id must lead to where that call was, so another instance is made.
fn is_spent(state: &State, id: InstanceId) -> bool {
    let row = &state.instance(id).row;
    let definition = state.resource(row.resource).definition();
    let type_name = |digest| &state.catalogue.definition(digest).type_name;
    let other_type =
        definition.is_some_and(|definition| type_name(definition) != type_name(row.definition));
    row.lost_once && (other_type || (row.effect.is_none() && row.traits.host_bound))
}

/// The deposed instance that should be current again, if any.
fn to_take_back(state: &State, id: ResourceId) -> Option<InstanceId> {
    let resource = state.resource(id);
    if !resource.has_deposed() || resource.definition().is_none() || resource.unsettled > 0 {
        return None;
    }
    let wanted = desired_fingerprint(state, id)?;
    let never_came_to_be = match resource.current {
        None => true,
        Some(current) => {
            let row = &state.instance(current).row;
            if row.flight().is_some() || (row.is_unknown() && !creatable(state, current)) {
                return None;
            }
            let right = row.observed == Observed::Present { healthy: true }
                && state.wanted(current)
                && row.fingerprint == Some(wanted);
            if right || row.is_unknown() {
                return None;
            }
            row.is_absent()
        }
    };
    let newest_first = || {
        let deposed = resource.deposed().rev();
        deposed.filter(|deposed| state.instance(*deposed).row.may_come_back())
    };
    newest_first()
        .find(|deposed| state.instance(*deposed).row.fingerprint == Some(wanted))
        .or_else(|| {
            let asked = resource.row.replacing.as_deref() == Some(&wanted);
            newest_first().next().filter(|_| never_came_to_be && !asked)
        })
}
