//! Settling: counters of unsettled requirements, the cone of a change, early cutoff. Knows nothing of
//! what makes a resource unsettled.
//!
//! Order matters: whoever changes a resource first takes its settledness away, down the whole cone
//! ([`unsettle`](super::unsettle)); only then are resources examined, from what is settled upwards
//! ([`tell`](super::tell)). So no rule ever sees a value that is about to change. What is left of a very
//! large cone waits in the stack's row ([`spread`](super::spread)).

use crate::digest::{Digest, fingerprint_with};
use crate::id::{InstanceId, ResourceId, Subject};
use crate::row::Observed;
use crate::state::State;
use crate::turn::Turn;

impl Turn<'_> {
    /// Unsettles, examines, and tells dependents, until nothing follows any more or the entry has done
    /// its share.
    pub(crate) fn drain(&mut self) {
        loop {
            while self.unsettle_next() {}
            while let Some(id) = self.examine.pop_front() {
                let Some(resource) = self.state.resources.get_mut(&id) else {
                    continue;
                };
                resource.queued = false;
                self.examine_one(id);
                while self.unsettle_next() {}
            }
            if !self.tell_next() && !self.retain_next() {
                return;
            }
        }
    }

    fn examine_one(&mut self, id: ResourceId) {
        self.holder_gone(id);
        while self.reshape(id) {}
        self.judge_settled(id);
        self.place_work(id);
        self.note_retained(id);
        self.count_phase(id);
        self.collect_resource(id);
    }

    /// Make rule 1: what is as it should be is settled, without an action.
    fn judge_settled(&mut self, id: ResourceId) {
        let resource = self.state.resource(id);
        if resource.settled || !self.is_heard(id) || !as_desired(self.state, id) {
            return;
        }
        let current = resource
            .current
            .expect("what is as desired has a current instance");
        let footing = footing(self.state, id);
        if self.state.instance(current).row.requires != footing && self.holds_still(id) {
            return;
        }
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
        // Whoever had yet to hear depends on it no more.
        self.unsettle_all(id);
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
