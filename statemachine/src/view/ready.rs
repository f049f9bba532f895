//! What could start: the dispatcher's reading list. It never scans a stack.

use crate::StateMachine;
use crate::digest::Digest;
use crate::id::{InstanceId, ResourceId, StackId, Text};
use crate::row::Action;
use crate::row::Deadline;
use crate::rules::Standing;
use crate::rules::look::look_standing;
use crate::rules::make::make_standing;
use crate::rules::placement::{instance_host, required_host};
use crate::rules::unmake::delete_standing;
use crate::view::Chunk;
use std::ops::{Bound, RangeBounds};

/// A piece of work. Looks sort before deletes before makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Look at an instance.
    Look(InstanceId),
    /// Delete an instance.
    Delete(InstanceId),
    /// Create or update a resource.
    Make(ResourceId),
}

/// What the dispatcher needs to know about a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkView {
    /// The work.
    pub work: Work,
    /// What it would be.
    pub action: Action,
    /// The stack.
    pub stack: StackId,
    /// The resource.
    pub resource: ResourceId,
    /// The type that the engine must offer.
    pub type_name: Text,
    /// The definition that an `Assign` must name (of the instance, for looks and deletes).
    pub definition: Digest,
    /// The host that it must be done on.
    pub host: Option<Text>,
    /// Labels that the engine must have.
    pub labels: Vec<(Text, Text)>,
    /// Not before this state time; 0: now. Milliseconds.
    pub not_before_ms: u64,
    /// How long the call may take; `None`: the dispatcher's default. Milliseconds.
    pub timeout_ms: Option<u64>,
    /// It may travel in a chunk.
    pub chunkable: bool,
}

/// What a piece of work is about.
struct About {
    resource: ResourceId,
    definition: Digest,
    host: Option<Text>,
    traits: crate::command::TypeTraits,
}

impl StateMachine {
    /// Stacks within these bounds with work that may start at this state time, in id order.
    pub fn ready_stacks(
        &self,
        within: impl RangeBounds<StackId>,
        now_ms: u64,
    ) -> impl Iterator<Item = StackId> {
        let state = &self.state;
        state.active.range(within).copied().filter(move |id| {
            let stack = state.stack(*id);
            let due = stack
                .later
                .first()
                .is_some_and(|(from_ms, _)| *from_ms <= now_ms);
            stack.stops().is_none() && (due || !stack.ready.is_empty())
        })
    }

    /// What may start in a stack at this state time: looks, then deletes, then makes; then what has
    /// backed off long enough. Empty if the stack starts nothing.
    pub fn ready_in(&self, id: StackId, now_ms: u64) -> impl Iterator<Item = Work> {
        let stack = self
            .state
            .stacks
            .get(&id)
            .filter(|stack| stack.stops().is_none());
        let now = stack
            .into_iter()
            .flat_map(|stack| stack.ready.keys().copied());
        let later = stack.into_iter().flat_map(|stack| stack.later.iter());
        now.chain(
            later
                .take_while(move |(from_ms, _)| *from_ms <= now_ms)
                .map(|(_, work)| *work),
        )
    }

    /// As [`Self::ready_in`], from beyond a piece of work on, whether that is still ready or not.
    pub fn ready_after(
        &self,
        id: StackId,
        now_ms: u64,
        after: Option<Work>,
    ) -> impl Iterator<Item = Work> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let stack = self
            .state
            .stacks
            .get(&id)
            .filter(|stack| stack.stops().is_none());
        let now = stack
            .into_iter()
            .flat_map(move |stack| stack.ready.range((from, Bound::Unbounded)));
        let later = stack.into_iter().flat_map(|stack| stack.later.iter());
        let later = later.take_while(move |(from_ms, _)| *from_ms <= now_ms);
        now.map(|(work, _)| *work)
            .chain(later.map(|(_, work)| *work))
    }

    /// The types of what may start in a stack now or later; one that it must do on several hosts comes as often.
    pub fn ready_types(&self, id: StackId) -> impl Iterator<Item = &Text> {
        let stack = self.state.stacks.get(&id).into_iter();
        let lanes = stack.flat_map(|stack| stack.lanes.iter());
        lanes
            .filter(|lane| lane.count > 0)
            .map(|lane| &lane.type_name)
    }

    /// How many actions of a stack are in flight.
    pub fn running_in(&self, id: StackId) -> u64 {
        self.state.stacks.get(&id).map_or(0, |stack| stack.running)
    }

    /// About a piece of work that may start now or later; `None`: it may not.
    pub fn work(&self, work: Work) -> Option<WorkView> {
        let state = &self.state;
        let (standing, about) = match work {
            Work::Make(id) => {
                state.resources.get(&id)?;
                let standing = make_standing(state, id, |_| false);
                (standing, self.about_resource(id)?)
            }
            Work::Look(instance) | Work::Delete(instance) => {
                state.instances.get(&instance)?;
                let standing = match work {
                    Work::Look(_) => look_standing(state, instance),
                    _ => delete_standing(state, instance, |_| false),
                };
                (standing, self.about_instance(instance))
            }
        };
        let (action, not_before_ms) = match standing {
            Standing::Now(action) => (action, 0),
            Standing::Later(action, from_ms, _) => (action, from_ms),
            Standing::Waits(_) | Standing::Nothing => return None,
        };
        Some(self.work_view(work, action, about, not_before_ms))
    }

    /// `None`: it should not be, or its hosts differ.
    fn about_resource(&self, id: ResourceId) -> Option<About> {
        let resource = self.state.resource(id);
        Some(About {
            resource: id,
            definition: resource.definition()?,
            host: required_host(&self.state, id).ok()?,
            traits: resource.desired()?.traits,
        })
    }

    fn about_instance(&self, id: InstanceId) -> About {
        let row = &self.state.instance(id).row;
        About {
            resource: row.resource,
            definition: row.definition,
            host: instance_host(&self.state, id),
            traits: row.traits,
        }
    }

    fn work_view(&self, work: Work, action: Action, about: About, not_before_ms: u64) -> WorkView {
        let About {
            resource: id,
            definition,
            host,
            traits,
        } = about;
        let resource = self.state.resource(id);
        let policy = resource.policy();
        WorkView {
            work,
            action,
            stack: resource.row.stack,
            resource: id,
            type_name: self
                .state
                .catalogue
                .definition(definition)
                .type_name
                .clone(),
            definition,
            host,
            labels: policy
                .map(|policy| policy.placement.labels.clone())
                .unwrap_or_default(),
            not_before_ms,
            timeout_ms: policy.and_then(|policy| policy.timeout_ms),
            chunkable: traits.travels() && matches!(action, Action::Create | Action::Delete),
        }
    }

    /// What a chunk may take along after this create: dependents whose every unsettled requirement it
    /// holds already. In dependency order if asked for each one added.
    pub fn creates_after(&self, chunk: &Chunk, resource: ResourceId) -> Vec<WorkView> {
        let takes =
            |id: &ResourceId| !chunk.has_create(*id) && chunk.takes_create(&self.state, *id);
        let followers = self.state.dependents_of(resource).filter(takes);
        followers
            .filter_map(|id| {
                let about = self.about_resource(id)?;
                Some(self.work_view(Work::Make(id), Action::Create, about, 0))
            })
            .collect()
    }

    /// What a chunk may take along after this delete: instances that only instances in it require.
    pub fn deletes_after(&self, chunk: &Chunk, instance: InstanceId) -> Vec<WorkView> {
        let Some(above) = self.state.instances.get(&instance) else {
            return Vec::new();
        };
        let takes = |id: &InstanceId| {
            self.state.instances.contains_key(id)
                && !chunk.has_delete(*id)
                && chunk.takes_delete(&self.state, *id)
        };
        let followers = above.row.requires.iter().copied().filter(takes);
        followers
            .map(|id| {
                let about = self.about_instance(id);
                self.work_view(Work::Delete(id), Action::Delete, about, 0)
            })
            .collect()
    }

    /// The next back-off or lag that ends: there will be work. State time, milliseconds.
    pub fn work_due_ms(&self) -> Option<u64> {
        let startable = self
            .state
            .active
            .iter()
            .map(|id| self.state.stack(*id))
            .filter(|stack| stack.stops().is_none());
        startable
            .filter_map(|stack| stack.later.first())
            .map(|(from_ms, _)| *from_ms)
            .min()
    }

    /// The next deadline: `FireDeadlines` is to be proposed. State time, milliseconds.
    pub fn deadline_due_ms(&self) -> Option<u64> {
        let stacks = self
            .state
            .stacks
            .values()
            .filter_map(|stack| match stack.row.deadline {
                Some(Deadline::At(at_ms)) => Some(at_ms),
                _ => None,
            });
        let stages = self
            .state
            .stages
            .values()
            .filter_map(|stage| stage.row.expires_ms);
        stacks.chain(stages).min()
    }

    /// Queues wait to be carried on: `Advance` is to be proposed.
    pub fn wants_advance(&self) -> bool {
        self.state.wants_advance()
    }
}
