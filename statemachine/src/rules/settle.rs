//! Settling: counters of unsettled requirements, the cone of a change, early cutoff. Knows nothing of
//! what makes a resource unsettled.
//!
//! Order matters: whoever changes a resource first takes its settledness away, down the whole cone
//! ([`Turn::disturb`]); only then are resources examined, from what is settled upwards. So no rule
//! ever sees a value that is about to change.
//!
//! A cone that stops being settled is walked at once: it costs some 0.3 µs a member. One that settles
//! costs more, as each member is examined; what is left of a very large one waits in the stack's row
//! ([`tell`](super::tell)).

use crate::digest::{Digest, fingerprint_with};
use crate::id::{InstanceId, ResourceId, Subject};
use crate::row::Observed;
use crate::state::State;
use crate::turn::Turn;
use crate::view::Phase;

impl Turn<'_> {
    /// The resource is not (known to be) settled any more, nor is anything that depends on it.
    pub(crate) fn disturb(&mut self, id: ResourceId) {
        self.enqueue(id);
        if !self.state.resource(id).settled {
            return;
        }
        self.state.resource_mut(id).settled = false;
        let mut cone = vec![id];
        while let Some(below) = cone.pop() {
            let through = self.untell(below);
            let dependents = self.state.dependents_of(below);
            let dependents: Vec<ResourceId> = dependents.take_while(|id| *id <= through).collect();
            for id in dependents {
                let resource = self.state.resource_mut(id);
                resource.unsettled += 1;
                if resource.settled {
                    resource.settled = false;
                    cone.push(id);
                    self.waits_from_now(id);
                } else if resource.unsettled == 1 {
                    self.enqueue(id);
                }
            }
        }
    }

    /// A member of a cone was settled and now only waits: nothing but its phase has changed, unless
    /// deposed instances wait with it. No examination is due, so that a large cone costs little.
    fn waits_from_now(&mut self, id: ResourceId) {
        let resource = self.state.resource_mut(id);
        if resource.has_deposed() || resource.queued || resource.phase != Some(Phase::Settled) {
            self.enqueue(id);
            return;
        }
        resource.phase = Some(Phase::Waiting);
        let stack = resource.row.stack;
        let counts = &mut self.state.stack_mut(stack).counts;
        counts.settled -= 1;
        counts.waiting += 1;
        self.stack_moved(stack);
    }

    /// Examines, and tells dependents, until nothing follows any more or the entry has told enough.
    pub(crate) fn drain(&mut self) {
        loop {
            while let Some(id) = self.examine.pop_front() {
                let Some(resource) = self.state.resources.get_mut(&id) else {
                    continue;
                };
                resource.queued = false;
                self.examine_one(id);
            }
            if !self.tell_next() {
                return;
            }
        }
    }

    fn examine_one(&mut self, id: ResourceId) {
        self.holder_gone(id);
        while self.reshape(id) {}
        self.judge_settled(id);
        self.place_work(id);
        self.count_phase(id);
        self.collect_resource(id);
    }

    /// Make rule 1: what is as it should be is settled, without an action.
    fn judge_settled(&mut self, id: ResourceId) {
        let resource = self.state.resource(id);
        if resource.settled || !as_desired(self.state, id) {
            return;
        }
        let current = resource
            .current
            .expect("what is as desired has a current instance");
        let footing = footing(self.state, id);
        self.set_requires(current, footing);
        self.clear_trouble(Subject::Resource(id));
        let resource = self.state.resource_mut(id);
        resource.settled = true;
        if resource.row.replacing.take().is_some() {
            self.touch_resource(id);
        }
        self.begin_telling(id);
    }

    /// A resource that nobody wants, has or needs leaves the state.
    fn collect_resource(&mut self, id: ResourceId) {
        let resource = self.state.resource(id);
        if resource.desired().is_some()
            || resource.current.is_some()
            || resource.has_deposed()
            || resource.queued
            || self.state.dependents_of(id).next().is_some()
        {
            return;
        }
        assert!(
            resource.row.requires.is_empty(),
            "what is not desired requires nothing"
        );
        self.clear_trouble(Subject::Resource(id));
        let resource = self
            .state
            .resources
            .remove(&id)
            .expect("the resource exists");
        self.touch_resource(id);
        let stack = self.state.stack_mut(resource.row.stack);
        stack.names.remove(&resource.row.name);
        self.stack_moved(resource.row.stack);
    }
}

/// The instances that a resource should stand on: the current ones of what it requires, sorted.
pub(crate) fn footing(state: &State, id: ResourceId) -> Box<[InstanceId]> {
    let requires = &state.resource(id).row.requires;
    let mut footing: Vec<InstanceId> = requires
        .iter()
        .filter_map(|required| state.resource(*required).current)
        .collect();
    footing.sort();
    footing.into()
}

/// The fingerprint that the resource should have. Meaningful once all that it requires is settled.
pub(crate) fn desired_fingerprint(state: &State, id: ResourceId) -> Option<Digest> {
    let resource = state.resource(id);
    let definition = resource.definition()?;
    let stack = state.stack(resource.row.stack);
    let references = &state.catalogue.definition(definition).references;
    Some(fingerprint_with(
        definition,
        references,
        |name, attribute| {
            let required = state.resource(*stack.names.get(name)?);
            state.instance(required.current?).row.output(attribute)
        },
    ))
}

/// All that settles a resource, but for its footing, which then is moved.
fn as_desired(state: &State, id: ResourceId) -> bool {
    let resource = state.resource(id);
    let Some(current) = resource.current else {
        return false;
    };
    let row = &state.instance(current).row;
    resource.unsettled == 0
        && row.observed == Observed::Present { healthy: true }
        && row.flight().is_none()
        && state.wanted(current)
        && row.fingerprint.is_some()
        && row.fingerprint == desired_fingerprint(state, id)
}
