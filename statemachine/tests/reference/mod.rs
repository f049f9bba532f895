//! The slow, obvious reference: everything that the state machine keeps by increments, worked out anew from a full
//! dump of its rows, by the words of the design. It shares no logic with the crate and must not call its
//! read access; only the types of rows and the digest functions are common.

use std::collections::{BTreeMap, BTreeSet};

use anneal_statemachine::command::{DeletionPolicy, Policy};
use anneal_statemachine::digest::{Digest, fingerprint_with};
use anneal_statemachine::id::{InstanceId, ResourceId, Revision, StackId, Subject, Text};
use anneal_statemachine::row::{
    Action, DefinitionRow, EngineRow, InstanceRow, LeaseState, Observed, ResourceRow, Role,
    RowChange, RowKey, RowValue, StackRow, Stop, TroubleRow,
};

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

    fn add_instance(&mut self, id: InstanceId, row: &'a InstanceRow) {
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

    fn work_out_settled(&mut self, resource: ResourceId, path: &mut Vec<ResourceId>) -> bool {
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
            settled &= self.work_out_settled(*below, path) && self.is_told(*below, resource);
        }
        path.pop();
        settled = settled
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
    fn is_told(&self, below: ResourceId, resource: ResourceId) -> bool {
        let mut tellings = self.stacks.values().flat_map(|stack| &stack.telling);
        tellings
            .find(|telling| telling.resource == below)
            .is_none_or(|telling| resource <= telling.through)
    }

    /// What it requires is settled, and it knows.
    pub fn stands_firm_on(&self, resource: ResourceId, below: ResourceId) -> bool {
        self.settled.get(&below) == Some(&true) && self.is_told(below, resource)
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

    fn stack_of(&self, resource: ResourceId) -> Option<&'a StackRow> {
        self.stacks
            .get(&self.resources.get(&resource)?.stack)
            .copied()
    }

    /// What keeps a whole stack from starting anything.
    pub fn stack_obstacle(&self, stack: &StackRow) -> Option<Obstacle> {
        let word = if takes_in(stack) {
            "queue"
        } else if stack.paused {
            "paused"
        } else {
            match stack.stop {
                Some(Stop::Halted) => "halted",
                Some(Stop::TimedOut) => "timed out",
                Some(Stop::RollbackDue) => "rollback due",
                None => return None,
            }
        };
        Some(Obstacle::Stack(word))
    }

    fn trouble_obstacle(&self, subject: Subject) -> Option<Obstacle> {
        let trouble = self.trouble(subject)?;
        if trouble.failed {
            return Some(Obstacle::Failed);
        }
        (trouble.not_before_ms > self.now_ms).then_some(Obstacle::BackingOff)
    }

    /// Why the making of a resource can't start now.
    pub fn make_obstacle(&self, resource: ResourceId) -> Option<Obstacle> {
        if !self.wanted(resource) || self.settled[&resource] {
            return Some(Obstacle::NoNeed);
        }
        let current = self.current.get(&resource).copied();
        if let Some(current) = current {
            if self.in_flight(current) {
                return Some(Obstacle::InFlight);
            }
            if let Some(obstacle) = self.make_obstacle_of_instance(current) {
                return Some(obstacle);
            }
        }
        let row = self.resources[&resource];
        let unsettled = row
            .requires
            .iter()
            .filter(|below| !self.stands_firm_on(resource, **below));
        let unsettled = unsettled.count();
        if unsettled > 0 {
            return Some(Obstacle::Requires(unsettled));
        }
        if self.hosts_differ(resource) {
            return Some(Obstacle::HostsDiffer);
        }
        if let Some(current) = current {
            let above = self.requirers_in_flight(current);
            if above > 0 {
                return Some(Obstacle::RequirersInFlight(above));
            }
        }
        if let Some(first) = self.predecessor_first(resource) {
            return Some(Obstacle::PredecessorFirst(first));
        }
        if let Some(holder) = self
            .trouble(Subject::Resource(resource))
            .and_then(|trouble| trouble.holder)
            && self.instances.contains_key(&holder)
            && self.unwanted(holder)
        {
            return Some(Obstacle::NameHeld(holder));
        }
        if let Some(obstacle) = self.trouble_obstacle(Subject::Resource(resource)) {
            return Some(obstacle);
        }
        self.stack_of(resource)
            .and_then(|stack| self.stack_obstacle(stack))
    }

    fn make_obstacle_of_instance(&self, current: InstanceId) -> Option<Obstacle> {
        let row = self.instances[&current];
        if row.observed == Observed::Unknown && self.waits_for_person(current) {
            return Some(Obstacle::OnHold(current));
        }
        if row.observed == Observed::Unknown && !self.again_under_key(current) {
            return Some(Obstacle::LookFirst);
        }
        self.unwanted(current)
            .then_some(Obstacle::UnwantedFirst(current))
    }

    /// Nobody but a person can tell what there is.
    pub fn waits_for_person(&self, instance: InstanceId) -> bool {
        let row = self.instances[&instance];
        row.observed == Observed::Unknown && (row.on_hold || !row.traits.can_look)
    }

    /// Never seen, not found by a look, still wanted just so, and its provider honours keys: it is made again
    /// under the same key, although it is `Unknown`.
    pub fn again_under_key(&self, instance: InstanceId) -> bool {
        let row = self.instances[&instance];
        let Some(effect) = &row.effect else {
            return false;
        };
        let definition = self.resources[&row.resource]
            .desired
            .as_ref()
            .and_then(|desired| desired.definition);
        let below = &self.resources[&row.resource].requires;
        row.observed == Observed::Unknown
            && row.traits.honours_keys
            && !row.seen_present
            && effect.seen_absent
            && effect.action == Action::Create
            && !self.unwanted(instance)
            && below
                .iter()
                .all(|below| self.stands_firm_on(row.resource, *below))
            && definition == Some(effect.definition)
            && effect.aim.is_some()
            && effect.aim == self.desired_fingerprint(row.resource)
    }

    /// How many of those that require an instance are being acted on.
    pub fn requirers_in_flight(&self, instance: InstanceId) -> usize {
        self.requirers.get(&instance).map_or(0, |above| {
            above.iter().filter(|a| self.in_flight(**a)).count()
        })
    }

    /// A deposed instance that has to go before its successor is made.
    fn predecessor_first(&self, resource: ResourceId) -> Option<InstanceId> {
        let deposed = self.deposed.get(&resource)?;
        deposed
            .iter()
            .find(|id| {
                matches!(
                    self.instances[id].role,
                    Role::Deposed {
                        before_successor: true,
                        ..
                    }
                )
            })
            .copied()
    }

    /// Why an instance can't be looked at now.
    pub fn look_obstacle(&self, instance: InstanceId) -> Option<Obstacle> {
        let row = self.instances[&instance];
        if row.observed != Observed::Unknown {
            return Some(Obstacle::NoNeed);
        }
        if self.in_flight(instance) {
            return Some(Obstacle::InFlight);
        }
        if self.waits_for_person(instance) {
            return Some(Obstacle::OnHold(instance));
        }
        let making = self.trouble(Subject::Resource(row.resource));
        if self.again_under_key(instance) && !making.is_some_and(|trouble| trouble.failed) {
            return Some(Obstacle::NoNeed);
        }
        let looking = self.trouble(Subject::Instance(instance));
        if looking.is_some_and(|trouble| trouble.failed) {
            return Some(Obstacle::Failed);
        }
        if let Some(below) = row
            .requires
            .iter()
            .find(|below| self.is_looked_at_first(**below))
        {
            return Some(Obstacle::LookOrder(*below));
        }
        if let Some(until_ms) = self.late_effect_until(instance)
            && self.now_ms < until_ms
        {
            return Some(Obstacle::LateEffect);
        }
        if let Some(obstacle) = self.trouble_obstacle(Subject::Instance(instance)) {
            return Some(obstacle);
        }
        self.stack_of(row.resource)
            .and_then(|stack| self.stack_obstacle(stack))
    }

    /// Somebody is going to look at it.
    fn is_looked_at_first(&self, below: InstanceId) -> bool {
        let failed = self
            .trouble(Subject::Instance(below))
            .is_some_and(|trouble| trouble.failed);
        let unknown = self
            .instances
            .get(&below)
            .is_some_and(|row| row.observed == Observed::Unknown);
        unknown && !self.waits_for_person(below) && !failed
    }

    /// Seen absent once: a lost call may still land until then.
    fn late_effect_until(&self, instance: InstanceId) -> Option<u64> {
        let row = self.instances[&instance];
        let effect = row.effect.as_ref().filter(|effect| effect.seen_absent)?;
        Some(effect.not_after_ms + u64::from(row.traits.lag_ms))
    }

    /// Why an instance can't be deleted now.
    pub fn delete_obstacle(&self, instance: InstanceId) -> Option<Obstacle> {
        let row = self.instances[&instance];
        if !self.unwanted(instance) {
            return Some(Obstacle::NoNeed);
        }
        if self.in_flight(instance) {
            return Some(Obstacle::InFlight);
        }
        if self.waits_for_person(instance) {
            return Some(Obstacle::OnHold(instance));
        }
        match row.observed {
            Observed::Unknown => return Some(Obstacle::LookFirst),
            Observed::Absent => return Some(Obstacle::NoNeed),
            Observed::Present { .. } => {}
        }
        let first = self.wanted(row.resource)
            && matches!(
                row.role,
                Role::Deposed {
                    before_successor: true,
                    ..
                }
            );
        let above = self.requirers.get(&instance).cloned().unwrap_or_default();
        let in_the_way = above
            .iter()
            .any(|a| !first || self.keeps_from_going_first(*a));
        if in_the_way {
            return Some(Obstacle::StillRequired);
        }
        let deposed = matches!(
            row.role,
            Role::Deposed {
                before_successor: false,
                ..
            }
        );
        // What failed half-way, or was found late, was not deposed by a successor.
        if deposed && !row.condemned && self.wanted(row.resource) && !self.settled[&row.resource] {
            return Some(Obstacle::SuccessorNotSettled);
        }
        if let Some(obstacle) = self.trouble_obstacle(Subject::Instance(instance)) {
            return Some(obstacle);
        }
        self.stack_of(row.resource)
            .and_then(|stack| self.stack_obstacle(stack))
    }

    /// What requires an instance that goes before its successor, and must be waited for all the same.
    fn keeps_from_going_first(&self, above: InstanceId) -> bool {
        self.in_flight(above)
            || self.instances[&above].observed == Observed::Unknown
            || (self.unwanted(above)
                && matches!(
                    self.delete_obstacle(above),
                    None | Some(Obstacle::BackingOff | Obstacle::Stack(_))
                ))
    }

    /// Where a resource stands; nothing if it is not counted. What only waits for time counts as waiting, and what
    /// stops a whole stack changes no phase: both would cost more than O(1).
    pub fn phase(&self, resource: ResourceId) -> Option<Phase> {
        let current = self.current.get(&resource).copied();
        if !self.wanted(resource) {
            let something = current.is_some() || self.deposed.contains_key(&resource);
            return something.then_some(Phase::Unwanted);
        }
        if self.settled[&resource] {
            return Some(Phase::Settled);
        }
        let make = self.make_obstacle(resource);
        let mut work = vec![(make, Subject::Resource(resource))];
        if let Some(current) = current {
            if self.in_flight(current) {
                return Some(Phase::InFlight);
            }
            if self.waits_for_person(current) {
                return Some(Phase::OnHold);
            }
            work.push((self.look_obstacle(current), Subject::Instance(current)));
            work.push((self.delete_obstacle(current), Subject::Instance(current)));
        }
        let timed = |subject: &Subject| {
            let late = match subject {
                Subject::Instance(id) => self.late_effect_until(*id).is_some(),
                Subject::Resource(_) => false,
            };
            late || self.trouble(*subject).is_some()
        };
        let free = |o: &Option<Obstacle>| matches!(o, None | Some(Obstacle::Stack(_)));
        if work
            .iter()
            .any(|(obstacle, subject)| free(obstacle) && !timed(subject))
        {
            return Some(Phase::Ready);
        }
        let failed = |o: &Option<Obstacle>| matches!(o, Some(Obstacle::Failed));
        if work.iter().any(|(obstacle, _)| failed(obstacle))
            || work[0].0 == Some(Obstacle::HostsDiffer)
        {
            return Some(Phase::Failed);
        }
        Some(Phase::Waiting)
    }

    /// It is forgotten instead of deleted.
    pub fn retained(&self, resource: ResourceId) -> bool {
        self.policy(resource).deletion == DeletionPolicy::Retain
    }
}

/// A change, or the rest of a large cone, is still being taken in.
pub fn takes_in(stack: &StackRow) -> bool {
    !stack.queue.is_empty() || !stack.telling.is_empty()
}

/// The ids as a set.
pub fn set(ids: &[InstanceId]) -> BTreeSet<InstanceId> {
    ids.iter().copied().collect()
}

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
        self.engines.values().any(|engine| {
            engine.lease != LeaseState::Expired
                && engine.offers.contains(&definition.type_name)
                && host.as_ref().is_none_or(|host| *host == engine.host)
        })
    }
}
