//! Which work may travel together. One check, for the dispatcher that proposes and for the entry that
//! is applied.

use crate::id::{InstanceId, ResourceId};
use crate::outcome::ChunkRefusal;
use crate::row::Action;
use crate::rules::Standing;
use crate::rules::make::make_standing;
use crate::rules::unmake::delete_standing;
use crate::state::State;
use std::collections::BTreeSet;

/// A chunk being put together by the dispatcher.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    creates: BTreeSet<ResourceId>,
    deletes: BTreeSet<InstanceId>,
}

impl Chunk {
    /// Adds a create: the chunk's first, or one that may follow.
    pub fn add_create(&mut self, resource: ResourceId) {
        self.creates.insert(resource);
    }

    /// Adds a delete: the chunk's first, or one that may follow.
    pub fn add_delete(&mut self, instance: InstanceId) {
        self.deletes.insert(instance);
    }

    /// How much it holds.
    pub fn len(&self) -> usize {
        self.creates.len() + self.deletes.len()
    }

    /// It holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// It holds this create.
    pub fn has_create(&self, resource: ResourceId) -> bool {
        self.creates.contains(&resource)
    }

    /// It holds this delete.
    pub fn has_delete(&self, instance: InstanceId) -> bool {
        self.deletes.contains(&instance)
    }

    pub(crate) fn takes_create(&self, state: &State, resource: ResourceId) -> bool {
        may_follow(state, resource, &self.creates).is_ok()
            && make_standing(state, resource, |required| self.creates.contains(&required))
                == Standing::Now(Action::Create)
    }

    pub(crate) fn takes_delete(&self, state: &State, instance: InstanceId) -> bool {
        state.instance(instance).row.traits.travels()
            && delete_standing(state, instance, |requirer| self.deletes.contains(&requirer))
                == Standing::Now(Action::Delete)
    }
}

/// May a resource be made in a chunk after these creates, though not all that it requires is settled?
/// Only what does not exist at all: with `requires` being old and new until an update has ended, one in
/// a chunk could close a circle.
pub(crate) fn may_follow(
    state: &State,
    id: ResourceId,
    creates: &BTreeSet<ResourceId>,
) -> Result<(), ChunkRefusal> {
    let resource = state.resource(id);
    if resource.current.is_some() || resource.has_deposed() {
        return Err(ChunkRefusal::NotACreate);
    }
    let traits = resource
        .desired()
        .map(|desired| desired.traits)
        .unwrap_or_default();
    if !traits.travels() {
        return Err(ChunkRefusal::CannotLook);
    }
    // Whatever is not settled has to be among these: a sink is not asked for all that it requires each time one of that is made.
    if resource.unsettled as usize > creates.len() {
        return Err(ChunkRefusal::Footing);
    }
    let firm = |required: &ResourceId| {
        state.takes_for_settled(*required, id) || creates.contains(required)
    };
    match resource.row.requires.iter().all(firm) {
        true => Ok(()),
        false => Err(ChunkRefusal::Footing),
    }
}
