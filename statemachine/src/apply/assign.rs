//! Assign: the leader has chosen; here it is checked whether each action may start at all. The token is
//! the entry's log index.

mod begin;

use crate::command::{AssignItem, AssignWork};
use crate::digest::Digest;
use crate::id::{EngineRef, InstanceId, ResourceId, Token};
use crate::outcome::{Assigned, ChunkRefusal, Outcome, Refusal, WaitReason};
use crate::row::Action;
use crate::rules::look::look_standing;
use crate::rules::make::make_standing;
use crate::rules::placement::{instance_host, live_engine, required_host, suits};
use crate::rules::unmake::delete_standing;
use crate::turn::Turn;
use crate::view::chunk::may_follow;
use std::collections::{BTreeMap, BTreeSet};

/// A chunk as far as this entry has filled it.
#[derive(Default)]
struct Chunk {
    engine: Option<EngineRef>,
    length: u32,
    creates: BTreeSet<ResourceId>,
    deletes: BTreeSet<InstanceId>,
}

impl Turn<'_> {
    pub(crate) fn assign(&mut self, items: &[AssignItem]) -> Outcome {
        let mut chunks: BTreeMap<u32, Chunk> = BTreeMap::new();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let mut alone = Chunk::default();
            let chunk = match item.chunk {
                Some(number) => chunks.entry(number).or_default(),
                None => &mut alone,
            };
            answers.push(self.assign_one(item, chunk));
        }
        Outcome::Assigned(answers)
    }

    fn assign_one(&mut self, item: &AssignItem, chunk: &mut Chunk) -> Result<Assigned, Refusal> {
        live_engine(self.state, item.engine)?;
        if chunk.engine.is_some_and(|engine| engine != item.engine) {
            return Err(Refusal::NotInChunk(ChunkRefusal::AnotherEngine));
        }
        let place = item.chunk.map(|number| (number, chunk.length));
        let instance = match item.work {
            AssignWork::Make {
                resource,
                definition,
            } => self.assign_make(item, resource, definition, chunk, place)?,
            AssignWork::Look { instance } if place.is_none() => self.assign_look(item, instance)?,
            AssignWork::Look { .. } => return Err(Refusal::NotInChunk(ChunkRefusal::NotACreate)),
            AssignWork::Delete { instance } => self.assign_delete(item, instance, chunk, place)?,
        };
        chunk.engine = Some(item.engine);
        chunk.length += 1;
        Ok(Assigned {
            instance,
            token: Token(self.index),
        })
    }

    fn stack_may_start(&self, resource: ResourceId) -> Result<(), Refusal> {
        let stack = self.state.resource(resource).row.stack;
        match self.state.stack(stack).stops() {
            Some(stops) => Err(Refusal::Waits(WaitReason::Stack(stops))),
            None => Ok(()),
        }
    }

    fn assign_make(
        &mut self,
        item: &AssignItem,
        id: ResourceId,
        definition: Digest,
        chunk: &mut Chunk,
        place: Option<(u32, u32)>,
    ) -> Result<InstanceId, Refusal> {
        let resource = self.state.resources.get(&id).ok_or(Refusal::Unknown)?;
        if resource.definition() != Some(definition) {
            return Err(Refusal::Superseded);
        }
        self.stack_may_start(id)?;
        let traits = resource
            .desired()
            .map(|desired| desired.traits)
            .unwrap_or_default();
        if place.is_some() && !traits.travels() {
            return Err(Refusal::NotInChunk(ChunkRefusal::CannotLook));
        }
        let covered = |required: ResourceId| chunk.creates.contains(&required);
        let follows = place.is_some() && self.state.resource(id).unsettled > 0;
        if follows {
            may_follow(self.state, id, &chunk.creates).map_err(Refusal::NotInChunk)?;
        }
        let action = make_standing(self.state, id, covered)
            .at(self.stamp.state_ms)
            .map_err(Refusal::Waits)?;
        if place.is_some_and(|(_, at)| at > 0) && action != Action::Create {
            return Err(Refusal::NotInChunk(ChunkRefusal::NotACreate));
        }
        let host = required_host(self.state, id)
            .map_err(|(one, other)| Refusal::Waits(WaitReason::HostsDiffer(one, other)))?;
        let engine = live_engine(self.state, item.engine)?;
        let type_name = &self.state.catalogue.definition(definition).type_name;
        suits(self.state, engine, type_name, host.as_ref(), id, false)?;
        let instance = self.begin_make(item, id, action, place, !follows);
        if action == Action::Create {
            chunk.creates.insert(id);
        }
        Ok(instance)
    }

    fn assign_look(&mut self, item: &AssignItem, id: InstanceId) -> Result<InstanceId, Refusal> {
        let instance = self.state.instances.get(&id).ok_or(Refusal::Unknown)?;
        let owner = instance.row.resource;
        self.stack_may_start(owner)?;
        look_standing(self.state, id)
            .at(self.stamp.state_ms)
            .map_err(Refusal::Waits)?;
        self.check_instance_engine(item, id)?;
        self.begin_look(item, id);
        Ok(id)
    }

    fn assign_delete(
        &mut self,
        item: &AssignItem,
        id: InstanceId,
        chunk: &mut Chunk,
        place: Option<(u32, u32)>,
    ) -> Result<InstanceId, Refusal> {
        let instance = self.state.instances.get(&id).ok_or(Refusal::Unknown)?;
        let owner = instance.row.resource;
        let traits = instance.row.traits;
        self.stack_may_start(owner)?;
        if place.is_some() && !traits.travels() {
            return Err(Refusal::NotInChunk(ChunkRefusal::CannotLook));
        }
        delete_standing(self.state, id, |requirer| chunk.deletes.contains(&requirer))
            .at(self.stamp.state_ms)
            .map_err(Refusal::Waits)?;
        self.check_instance_engine(item, id)?;
        self.begin_delete(item, id, place);
        chunk.deletes.insert(id);
        Ok(id)
    }

    fn check_instance_engine(&self, item: &AssignItem, id: InstanceId) -> Result<(), Refusal> {
        let row = &self.state.instance(id).row;
        let engine = live_engine(self.state, item.engine)?;
        let type_name = &self.state.catalogue.definition(row.definition).type_name;
        let host = instance_host(self.state, id);
        suits(
            self.state,
            engine,
            type_name,
            host.as_ref(),
            row.resource,
            row.traits.host_bound,
        )
    }
}
