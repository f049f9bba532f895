//! The slow, obvious reference: everything that the state machine keeps by increments, worked out anew from a full
//! dump of its rows, by the words of the design. It shares no logic with the crate and must not call its
//! read access; only the types of rows and the digest functions are common.

mod obstacles;
mod questions;

use std::collections::{BTreeMap, BTreeSet};

use anneal_statemachine::command::{DeletionPolicy, Policy};
use anneal_statemachine::digest::{Digest, fingerprint_with};
use anneal_statemachine::id::{InstanceId, ResourceId, StackId, Subject, Text};
use anneal_statemachine::row::{
    DefinitionRow, EngineRow, InstanceRow, Observed, ResourceRow, Role, RowChange, RowKey,
    RowValue, StackRow, TroubleRow, Unsettling,
};

pub use questions::Standing;

/// All rows of a state.
pub type Rows = BTreeMap<RowKey, RowValue>;

/// Writes an entry's changes into the rows.
pub fn write(rows: &mut Rows, changes: &[RowChange]) {
    for change in changes {
        match &change.value {
            Some(value) => rows.insert(change.key.clone(), value.clone()),
            None => rows.remove(&change.key),
        };
    }
}

/// Where a resource stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Something is in its way.
    Waiting,
    /// It may start now.
    Ready,
    /// An action runs on its current instance.
    InFlight,
    /// As desired.
    Settled,
    /// Not tried again by itself.
    Failed,
    /// A person must decide.
    OnHold,
    /// It is in no template any more.
    Unwanted,
}

/// Why something can't start now; nothing if it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The stack starts nothing.
    Stack(&'static str),
    /// Nothing of this kind is to be done.
    NoNeed,
    /// An action runs on it.
    InFlight,
    /// What it requires is not settled: so many.
    Requires(usize),
    /// Something that requires it is acted on: so many.
    RequirersInFlight(usize),
    /// It is still required.
    StillRequired,
    /// The successor is not settled.
    SuccessorNotSettled,
    /// A predecessor goes first.
    PredecessorFirst(InstanceId),
    /// Its own instance has to go first.
    UnwantedFirst(InstanceId),
    /// It must be looked at first.
    LookFirst,
    /// Something it requires is looked at first.
    LookOrder(InstanceId),
    /// A late effect is possible still.
    LateEffect,
    /// What it requires lives on several hosts.
    HostsDiffer,
    /// A name is held by something that goes.
    NameHeld(InstanceId),
    /// Its time has not come.
    BackingOff,
    /// It has failed.
    Failed,
    /// A person must decide.
    OnHold(InstanceId),
}

/// A state, seen from its rows.
pub struct Reference<'a> {
    /// State time of the last command.
    pub now_ms: u64,
    rows: &'a Rows,
    /// Stacks.
    pub stacks: BTreeMap<StackId, &'a StackRow>,
    /// Resources.
    pub resources: BTreeMap<ResourceId, &'a ResourceRow>,
    /// Resources by stack and name.
    pub names: BTreeMap<(StackId, Text), ResourceId>,
    /// Instances.
    pub instances: BTreeMap<InstanceId, &'a InstanceRow>,
    /// Hosts that are gone, and not all of what lived there is forgotten.
    pub forgetting: BTreeSet<Text>,
    /// Engines.
    pub engines: BTreeMap<u64, &'a EngineRow>,
    /// Current instance of each resource.
    pub current: BTreeMap<ResourceId, InstanceId>,
    /// Deposed instances of each resource.
    pub deposed: BTreeMap<ResourceId, Vec<InstanceId>>,
    /// Who requires an instance.
    pub requirers: BTreeMap<InstanceId, BTreeSet<InstanceId>>,
    /// Which resources are settled.
    pub settled: BTreeMap<ResourceId, bool>,
    default_policy: Policy,
}

impl<'a> Reference<'a> {
    /// Reads the rows and works everything out.
    pub fn new(rows: &'a Rows, now_ms: u64) -> Self {
        let mut found = Reference {
            now_ms,
            rows,
            stacks: BTreeMap::new(),
            resources: BTreeMap::new(),
            names: BTreeMap::new(),
            instances: BTreeMap::new(),
            forgetting: BTreeSet::new(),
            engines: BTreeMap::new(),
            current: BTreeMap::new(),
            deposed: BTreeMap::new(),
            requirers: BTreeMap::new(),
            settled: BTreeMap::new(),
            default_policy: Policy::default(),
        };
        for (key, value) in rows {
            match (key, value) {
                (RowKey::Stack(id), RowValue::Stack(row)) => {
                    found.stacks.insert(*id, row);
                }
                (RowKey::Resource(id), RowValue::Resource(row)) => {
                    found.resources.insert(*id, row);
                    found.names.insert((row.stack, row.name.clone()), *id);
                }
                (RowKey::Instance(id), RowValue::Instance(row)) => found.add_instance(*id, row),
                (RowKey::Cluster, RowValue::Cluster(row)) => {
                    found.forgetting.extend(row.forgetting.iter().cloned());
                }
                (RowKey::Engine(member), RowValue::Engine(row)) => {
                    found.engines.insert(*member, row);
                }
                _ => {}
            }
        }
        let all: Vec<ResourceId> = found.resources.keys().copied().collect();
        for resource in all {
            found.work_out_settled(resource, &mut Vec::new());
        }
        found
    }

    pub fn add_instance(&mut self, id: InstanceId, row: &'a InstanceRow) {
        self.instances.insert(id, row);
        match row.role {
            Role::Current => {
                self.current.insert(row.resource, id);
            }
            Role::Deposed { .. } => self.deposed.entry(row.resource).or_default().push(id),
        }
        for below in &row.requires {
            self.requirers.entry(*below).or_default().insert(id);
        }
    }

    pub fn work_out_settled(&mut self, resource: ResourceId, path: &mut Vec<ResourceId>) -> bool {
        if let Some(known) = self.settled.get(&resource) {
            return *known;
        }
        assert!(
            !path.contains(&resource),
            "the desired graph has a circle: {path:?} and back to r{resource}"
        );
        path.push(resource);
        let Some(row) = self.resources.get(&resource).copied() else {
            return false;
        };
        let mut settled = self.wanted(resource);
        for below in &row.requires {
            self.work_out_settled(*below, path);
            settled &= self.stands_firm_on(resource, *below);
        }
        path.pop();
        settled = settled
            && self.unsettling(resource).is_none()
            && match self.current.get(&resource) {
                None => false,
                Some(current) => {
                    let instance = self.instances[current];
                    instance.observed == (Observed::Present { healthy: true })
                        && instance.assignment.is_none()
                        && !instance.condemned
                        && !instance.delete_begun
                        && instance.fingerprint.is_some()
                        && instance.fingerprint == self.desired_fingerprint(resource)
                        && Some(set(&instance.requires)) == self.present_requirements(resource)
                }
            };
        self.settled.insert(resource, settled);
        settled
    }

    /// Whether a resource knows by now that what it requires is settled: the rest of a large cone waits.
    pub fn is_told(&self, below: ResourceId, resource: ResourceId) -> bool {
        let mut tellings = self.stacks.values().flat_map(|stack| &stack.telling);
        tellings
            .find(|telling| telling.resource == below)
            .is_none_or(|telling| resource <= telling.through)
    }

    /// It was settled and is no more, and not all that depend on it have heard.
    pub fn unsettling(&self, below: ResourceId) -> Option<Unsettling> {
        let mut all = self.stacks.values().flat_map(|stack| &stack.unsettling);
        all.find(|unsettling| unsettling.resource == below).copied()
    }

    /// What it requires is settled, and it knows; or it was, and it has not heard otherwise.
    pub fn stands_firm_on(&self, resource: ResourceId, below: ResourceId) -> bool {
        match self.unsettling(below) {
            Some(rest) => rest.after < resource && resource <= rest.through,
            None => self.settled.get(&below) == Some(&true) && self.is_told(below, resource),
        }
    }

    /// A definition is desired.
    pub fn wanted(&self, resource: ResourceId) -> bool {
        let desired = self
            .resources
            .get(&resource)
            .and_then(|row| row.desired.as_ref());
        desired.is_some_and(|desired| desired.definition.is_some())
    }

    /// The current instances of all that a resource requires now; nothing if one is missing.
    pub fn present_requirements(&self, resource: ResourceId) -> Option<BTreeSet<InstanceId>> {
        let mut all = BTreeSet::new();
        for below in &self.resources.get(&resource)?.requires {
            all.insert(*self.current.get(below)?);
        }
        Some(all)
    }

    /// The row of a definition.
    pub fn definition(&self, digest: Digest) -> Option<&'a DefinitionRow> {
        match self.rows.get(&RowKey::Definition(digest)) {
            Some(RowValue::Definition(row)) => Some(row),
            _ => None,
        }
    }

    /// The fingerprint of the desired definition with the values that are there now.
    pub fn desired_fingerprint(&self, resource: ResourceId) -> Option<Digest> {
        let row = self.resources.get(&resource)?;
        let digest = row.desired.as_ref()?.definition?;
        let definition = self.definition(digest)?;
        Some(fingerprint_with(
            digest,
            &definition.references,
            |name, attribute| {
                let below = self.names.get(&(row.stack, name.clone()))?;
                let instance = self.instances.get(self.current.get(below)?)?;
                instance
                    .outputs
                    .iter()
                    .find(|output| output.name.as_ref() == attribute)
                    .map(|output| output.digest)
            },
        ))
    }

    /// The policy of a resource, or of what is left of it.
    pub fn policy(&self, resource: ResourceId) -> &Policy {
        let Some(row) = self.resources.get(&resource) else {
            return &self.default_policy;
        };
        let policy = match &row.desired {
            Some(desired) if desired.definition.is_some() => desired.policy.as_deref(),
            _ => row.last_policy.as_deref(),
        };
        policy.unwrap_or(&self.default_policy)
    }

    /// Failures of a subject.
    pub fn trouble(&self, subject: Subject) -> Option<&'a TroubleRow> {
        match self.rows.get(&RowKey::Trouble(subject)) {
            Some(RowValue::Trouble(row)) => Some(row),
            _ => None,
        }
    }

    /// An action runs on it: assigned, and its engine not lost.
    pub fn in_flight(&self, instance: InstanceId) -> bool {
        self.instances[&instance]
            .assignment
            .as_ref()
            .is_some_and(|assignment| !assignment.lost)
    }

    /// Nobody wants it any more.
    pub fn unwanted(&self, instance: InstanceId) -> bool {
        let row = self.instances[&instance];
        row.condemned
            || row.delete_begun
            || matches!(row.role, Role::Deposed { .. })
            || !self.wanted(row.resource)
    }

    /// It must not be replaced: it is protected, or its stack is.
    pub fn is_protected(&self, resource: ResourceId) -> bool {
        let stack = self.stack_of(resource);
        stack.is_some_and(|stack| stack.options.protect) || self.policy(resource).protect
    }

    /// The stack of a resource.
    pub fn stack_of(&self, resource: ResourceId) -> Option<&'a StackRow> {
        self.stacks
            .get(&self.resources.get(&resource)?.stack)
            .copied()
    }

    /// It is forgotten instead of deleted.
    pub fn retained(&self, resource: ResourceId) -> bool {
        self.policy(resource).deletion == DeletionPolicy::Retain
    }
}

/// A change, or the rest of a large cone, is still being taken in.
pub fn takes_in(stack: &StackRow) -> bool {
    !stack.queue.is_empty() || !stack.telling.is_empty() || !stack.unsettling.is_empty()
}

/// The ids as a set.
pub fn set(ids: &[InstanceId]) -> BTreeSet<InstanceId> {
    ids.iter().copied().collect()
}
