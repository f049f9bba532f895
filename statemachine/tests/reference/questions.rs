//! What is asked of hosts, chunks, history and whole stacks.

use std::collections::BTreeSet;

use anneal_statemachine::digest::Digest;
use anneal_statemachine::id::{InstanceId, ResourceId, Revision, StackId, Subject, Text};
use anneal_statemachine::row::{EngineRow, InstanceRow, LeaseState, Observed, Role, RowKey};

use super::*;

/// Questions about hosts and chunks.
impl Reference<'_> {
    /// Its type lives on one host.
    pub fn is_host_bound(&self, resource: ResourceId) -> bool {
        let desired = self
            .resources
            .get(&resource)
            .and_then(|row| row.desired.as_ref());
        desired.is_some_and(|desired| desired.traits.host_bound)
    }

    /// The hosts of what a host-bound resource requires.
    fn hosts_below(&self, resource: ResourceId) -> BTreeSet<Text> {
        let below = &self.resources[&resource].requires;
        let instances = below.iter().filter_map(|below| self.current.get(below));
        instances
            .filter_map(|instance| self.instances[instance].host.clone())
            .collect()
    }

    fn home(&self, resource: ResourceId) -> Option<Text> {
        let instance = self.instances[self.current.get(&resource)?];
        instance
            .host
            .clone()
            .filter(|_| instance.observed != Observed::Absent)
    }

    /// What it requires lives on several hosts, and it should be made where all of that is.
    pub fn hosts_differ(&self, resource: ResourceId) -> bool {
        self.is_host_bound(resource)
            && self.home(resource).is_none()
            && self.hosts_below(resource).len() > 1
    }

    /// The host on which it must be made; nothing: any.
    pub fn host_for(&self, resource: ResourceId) -> Option<Text> {
        if !self.is_host_bound(resource) {
            return None;
        }
        self.home(resource)
            .or_else(|| self.hosts_below(resource).into_iter().next())
    }

    /// No instance of it exists, and its provider can look: it may travel in a chunk.
    pub fn is_new_and_seeing(&self, resource: ResourceId) -> bool {
        let desired = self
            .resources
            .get(&resource)
            .and_then(|row| row.desired.as_ref());
        !self.current.contains_key(&resource)
            && !self.deposed.contains_key(&resource)
            && desired.is_some_and(|desired| desired.traits.can_look || desired.traits.derived_id)
    }

    /// The engine offers its type.
    pub fn engine_offers(&self, engine: &EngineRow, resource: ResourceId) -> bool {
        let digest = self.resources[&resource]
            .desired
            .as_ref()
            .and_then(|desired| desired.definition);
        let definition = digest.and_then(|digest| self.definition(digest));
        definition.is_some_and(|definition| engine.offers.contains(&definition.type_name))
    }

    /// Only what is in a chunk keeps it from being deleted.
    pub fn may_follow_in_deletion(
        &self,
        instance: InstanceId,
        chunk: &BTreeSet<InstanceId>,
    ) -> bool {
        let row = self.instances[&instance];
        let above = self.requirers.get(&instance).cloned().unwrap_or_default();
        self.delete_obstacle(instance) == Some(Obstacle::StillRequired)
            && above.iter().all(|a| chunk.contains(a))
            && !matches!(
                row.role,
                Role::Deposed {
                    before_successor: true,
                    ..
                }
            )
            && (row.role == Role::Current
                || !self.wanted(row.resource)
                || self.settled[&row.resource])
            && self.trouble_obstacle(Subject::Instance(instance)).is_none()
    }
}

/// Questions about what is kept.
impl Reference<'_> {
    /// Everything between this revision and the newest can be undone.
    pub fn has_past(&self, stack: StackId, to: Revision) -> bool {
        let newest = self.stacks[&stack].revision;
        (to.0 + 1..=newest.0).all(|n| {
            self.rows
                .contains_key(&RowKey::Revision(stack, Revision(n)))
        })
    }

    /// What a forgotten revision replaced, and is not all gone yet.
    pub fn forgotten_past(&self) -> impl Iterator<Item = (StackId, Revision)> {
        self.rows.keys().filter_map(|key| match key {
            RowKey::Past(stack, revision, _)
                if !self.rows.contains_key(&RowKey::Revision(*stack, *revision)) =>
            {
                Some((*stack, *revision))
            }
            _ => None,
        })
    }

    /// Something waits to be carried on by a later entry.
    pub fn wants_advance(&self) -> bool {
        self.stacks.values().any(|row| takes_in(row))
            || !self.forgetting.is_empty()
            || self.forgotten_past().next().is_some()
    }

    /// The host has an engine that is not expired.
    pub fn live_or_draining(&self, host: &str) -> bool {
        self.engines
            .values()
            .any(|engine| *engine.host == *host && engine.lease != LeaseState::Expired)
    }
}

/// How a stack as a whole stands, as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing differs, nothing is left to delete.
    Converged,
    /// It is to go.
    Deleting,
    /// A person stopped it.
    Paused,
    /// Something runs or can still run.
    Converging,
    /// Nothing can move.
    Failed,
}

/// Questions about whole stacks.
impl Reference<'_> {
    /// How a stack stands, in the order that the surface gives.
    pub fn standing(&self, stack: StackId) -> Standing {
        let row = self.stacks[&stack];
        if self.is_converged(stack) {
            Standing::Converged
        } else if row.deleting {
            Standing::Deleting
        } else if row.paused {
            Standing::Paused
        } else if self.can_move(stack) {
            Standing::Converging
        } else {
            Standing::Failed
        }
    }

    fn resources_of(&self, stack: StackId) -> impl Iterator<Item = ResourceId> {
        self.resources
            .iter()
            .filter(move |(_, row)| row.stack == stack)
            .map(|(id, _)| *id)
    }

    fn instances_of_stack(&self, stack: StackId) -> impl Iterator<Item = InstanceId> {
        let mine = move |row: &InstanceRow| self.resources[&row.resource].stack == stack;
        self.instances
            .iter()
            .filter(move |(_, row)| mine(row))
            .map(|(id, _)| *id)
    }

    /// Everything desired is settled, and nothing unwanted is left.
    pub fn is_converged(&self, stack: StackId) -> bool {
        let row = self.stacks[&stack];
        !takes_in(row)
            && !row.deleting
            && self
                .resources_of(stack)
                .all(|id| !self.wanted(id) || self.settled[&id])
            && self.instances_of_stack(stack).all(|id| !self.unwanted(id))
    }

    /// Something runs, or can start now or when its time comes.
    pub fn can_move(&self, stack: StackId) -> bool {
        // What only has to forget its history before it is gone is carried on.
        if self.stacks[&stack].deleting && self.forgotten_past().any(|(of, _)| of == stack) {
            return true;
        }
        if self.instances_of_stack(stack).any(|id| self.in_flight(id)) {
            return true;
        }
        match self.stack_obstacle(self.stacks[&stack]) {
            Some(Obstacle::Stack("queue" | "rollback due")) => return true,
            Some(_) => return false,
            None => {}
        }
        let makes = self.resources_of(stack).any(|id| {
            let type_name = self.resources[&id]
                .desired
                .as_ref()
                .and_then(|d| d.definition);
            let host = self
                .host_for(id)
                .or_else(|| self.policy(id).placement.host.clone());
            let obstacle = self.make_obstacle(id);
            let possible = self.comes_with_time(&obstacle) && !self.hosts_differ(id);
            possible && self.is_reachable(type_name, host)
        });
        let others = self.instances_of_stack(stack).any(|id| {
            let row = self.instances[&id];
            [self.look_obstacle(id), self.delete_obstacle(id)]
                .iter()
                .any(|obstacle| {
                    self.comes_with_time(obstacle)
                        && self.is_reachable(Some(row.definition), row.host.clone())
                })
        });
        makes || others
    }

    fn comes_with_time(&self, obstacle: &Option<Obstacle>) -> bool {
        matches!(
            obstacle,
            None | Some(Obstacle::BackingOff | Obstacle::LateEffect)
        )
    }

    fn is_reachable(&self, definition: Option<Digest>, host: Option<Text>) -> bool {
        let Some(definition) = definition.and_then(|digest| self.definition(digest)) else {
            return false;
        };
        self.engines.is_empty()
            || self.engines.values().any(|engine| {
                engine.lease != LeaseState::Expired
                    && engine.offers.contains(&definition.type_name)
                    && host.as_ref().is_none_or(|host| *host == engine.host)
            })
    }
}
