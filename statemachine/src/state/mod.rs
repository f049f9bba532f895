//! What is in memory: rows, and indexes that follow from them. Knows nothing of rules: nothing here
//! decides anything.

pub(crate) mod blobs;
mod declared;
pub(crate) mod engine;
pub(crate) mod instance;
pub(crate) mod names;
pub(crate) mod queue;
pub(crate) mod resource;
pub(crate) mod stack;
mod table;
mod tally;

use crate::id::{InstanceId, RequestId, ResourceId, StackId, Text};
use crate::outcome::Outcome;
use crate::row::{ClusterRow, TombstoneRow};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use blobs::Catalogue;
pub(crate) use engine::Engine;
pub(crate) use instance::Instance;
pub(crate) use names::Held;
pub(crate) use queue::Stage;
pub(crate) use resource::{Resource, Slot, Span, Trouble};
pub(crate) use stack::Stack;
pub(crate) use table::Table;
pub(crate) use tally::{Compared, Tally};

/// Everything. Maps are ordered, so that no order can come from a hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) cluster: ClusterRow,
    pub(crate) stacks: BTreeMap<StackId, Stack>,
    /// Namespace, then name.
    pub(crate) stack_names: BTreeMap<Text, BTreeMap<Text, StackId>>,
    pub(crate) resources: Table<ResourceId, Resource>,
    pub(crate) instances: Table<InstanceId, Instance>,
    /// (what is required, who requires it) by the desired definitions.
    pub(crate) dependents: BTreeSet<(ResourceId, ResourceId)>,
    /// (what is required, who was built on it).
    pub(crate) required_by: BTreeSet<(InstanceId, InstanceId)>,
    /// Settled resources of which not all dependents know yet: those up to this id do.
    pub(crate) told: BTreeMap<ResourceId, ResourceId>,
    /// Resources that were settled, and which dependents have yet to hear that they are no more.
    pub(crate) unsettling: BTreeMap<ResourceId, Span>,
    pub(crate) catalogue: Catalogue,
    pub(crate) held: Held,
    /// Host-bound instances by host.
    pub(crate) hosts: BTreeSet<(Text, InstanceId)>,
    pub(crate) engines: BTreeMap<u64, Engine>,
    pub(crate) requests: BTreeMap<RequestId, Outcome>,
    pub(crate) stages: BTreeMap<RequestId, Stage>,
    pub(crate) tombstones: BTreeMap<InstanceId, TombstoneRow>,
    /// (who holds a name, whose making waits for that).
    pub(crate) blocked: BTreeSet<(InstanceId, ResourceId)>,
    /// Stacks with ready or later work.
    pub(crate) active: BTreeSet<StackId>,
    /// Stacks of which something waits to be carried on.
    pub(crate) queues: BTreeSet<StackId>,
}

impl State {
    pub(crate) fn resource(&self, id: ResourceId) -> &Resource {
        self.resources.get(&id).expect("the resource exists")
    }

    pub(crate) fn resource_mut(&mut self, id: ResourceId) -> &mut Resource {
        self.resources.get_mut(&id).expect("the resource exists")
    }

    pub(crate) fn instance(&self, id: InstanceId) -> &Instance {
        self.instances.get(&id).expect("the instance exists")
    }

    pub(crate) fn instance_mut(&mut self, id: InstanceId) -> &mut Instance {
        self.instances.get_mut(&id).expect("the instance exists")
    }

    pub(crate) fn stack(&self, id: StackId) -> &Stack {
        self.stacks.get(&id).expect("the stack exists")
    }

    pub(crate) fn stack_mut(&mut self, id: StackId) -> &mut Stack {
        self.stacks.get_mut(&id).expect("the stack exists")
    }

    /// The stack of this name.
    pub(crate) fn stack_named(&self, namespace: &str, name: &str) -> Option<StackId> {
        self.stack_names.get(namespace)?.get(name).copied()
    }

    /// A dependent takes what it requires for settled: it is, and the dependent knows; or it was, and the
    /// dependent has not heard otherwise yet.
    pub(crate) fn takes_for_settled(&self, required: ResourceId, dependent: ResourceId) -> bool {
        if let Some(span) = self.unsettling.get(&required) {
            return span.contains(dependent);
        }
        let told = self.told.get(&required);
        self.resource(required).settled && told.is_none_or(|through| dependent <= *through)
    }

    /// Something waits to be carried on by a later entry.
    pub(crate) fn wants_advance(&self) -> bool {
        !self.queues.is_empty() || !self.cluster.forgetting.is_empty()
    }

    /// Who depends on the resource.
    pub(crate) fn dependents_of(&self, id: ResourceId) -> impl Iterator<Item = ResourceId> {
        self.dependents
            .range((id, ResourceId(0))..=(id, ResourceId(u64::MAX)))
            .map(|(_, dependent)| *dependent)
    }

    /// Who was built on the instance.
    pub(crate) fn requirers_of(&self, id: InstanceId) -> impl Iterator<Item = InstanceId> {
        self.required_by
            .range((id, InstanceId(0))..=(id, InstanceId(u64::MAX)))
            .map(|(_, requirer)| *requirer)
    }

    /// An instance is wanted if it is the current one of a resource that should be, and nothing
    /// irrevocable has happened to it.
    pub(crate) fn wanted(&self, id: InstanceId) -> bool {
        let row = &self.instance(id).row;
        row.is_current()
            && !row.delete_begun
            && !row.condemned
            && self.resource(row.resource).definition().is_some()
    }

    /// All instances of a resource, the current one first.
    pub(crate) fn instances_of(&self, id: ResourceId) -> impl Iterator<Item = InstanceId> {
        let resource = self.resource(id);
        resource.current.into_iter().chain(resource.deposed())
    }

    /// Is some engine of this host, offering this type, not expired? Before the first engine has made itself known,
    /// nobody can tell, and everything counts as reachable: a new cluster has not failed.
    pub(crate) fn reachable(&self, type_name: &str, host: Option<&str>) -> bool {
        self.engines.is_empty()
            || self.engines.values().any(|engine| {
                !engine.expired()
                    && engine.offers(type_name)
                    && host.is_none_or(|host| *engine.row.host == *host)
            })
    }
}
