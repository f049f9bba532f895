//! The graph, by name and by id, both ways. Orders, cycles and drawings are for others to make of it.

use crate::StateMachine;
use crate::id::{InstanceId, ResourceId};

impl StateMachine {
    /// What a resource requires by its desired definition.
    pub fn requires(&self, id: ResourceId) -> &[ResourceId] {
        match self.state.resources.get(&id) {
            Some(resource) => &resource.row.requires,
            None => &[],
        }
    }

    /// What requires a resource by its desired definition.
    pub fn required_by(&self, id: ResourceId) -> impl Iterator<Item = ResourceId> {
        self.state.dependents_of(id)
    }

    /// Instances that were built on an instance.
    pub fn built_upon(&self, id: InstanceId) -> impl Iterator<Item = InstanceId> {
        self.state.requirers_of(id)
    }

    /// Every instance, in id order.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> {
        self.state.instances.keys()
    }
}
