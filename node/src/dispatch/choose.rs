//! What the leader knows of its assignments, and what it proposes next: everything of assigning but the waiting.
//!
//! Pure: the state and the time are arguments, a batch is a value. Told of every entry that is applied and of every
//! answer to a batch, it keeps count of what engines have; where it lost track, it counts anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anneal_provider::Registry;
use anneal_statemachine::StateMachine;
use anneal_statemachine::event::{Event, EventKind};
use anneal_statemachine::id::{EngineRef, InstanceId, Text, Token};
use anneal_statemachine::outcome::{Assigned, Refusal};
use anneal_statemachine::view::AssignmentView;

use super::candidate::{Candidate, Candidates};
use super::load::Weight;
use super::rest::Resting;
use super::select::{Moment, Picked, Selector};

/// An assignment that stands, as far as is known.
struct Counted {
    engine: EngineRef,
    token: Token,
    chunk: Option<u32>,
    type_name: Text,
    weight: Weight,
    /// Its engine's load counts it.
    bears: bool,
    /// When it was chosen, if by this leader.
    since: Option<Instant>,
}

impl Counted {
    /// The chunk whose calls its engine makes one after the other, if it is one of these.
    fn walk(&self) -> Option<Walk> {
        let chunk = self.chunk.filter(|_| self.weight == Weight::Call)?;
        Some((self.engine, self.token, chunk))
    }
}

/// Who walks, and which chunk of which entry.
type Walk = (EngineRef, Token, u32);

/// The assigner's mind, for one leadership.
pub struct Chooser {
    selector: Selector,
    counted: BTreeMap<InstanceId, Counted>,
    /// What is left of the calls of each chunk: they are one call at a time, until the last has ended.
    walks: BTreeMap<Walk, BTreeSet<InstanceId>>,
    resting: Resting,
}

impl Chooser {
    /// One that has counted nothing yet.
    pub fn new(registry: &Registry) -> Self {
        Self {
            selector: Selector::new(registry),
            counted: BTreeMap::new(),
            walks: BTreeMap::new(),
            resting: Resting::default(),
        }
    }

    /// The next batch; empty if nothing can be given to anybody now.
    pub fn decide(
        &mut self,
        machine: &StateMachine,
        now_ms: u64,
        now: Instant,
        candidates: &[Candidate],
    ) -> Vec<Picked> {
        let resting = &self.resting;
        self.selector.decide(&Moment {
            machine,
            now_ms,
            now,
            candidates: Candidates::new(candidates),
            aside: &|work| resting.rests(work),
        })
    }

    /// A batch was answered, item by item; as far as answers are missing, it came to nothing. The state may have gone on.
    pub fn decided(
        &mut self,
        machine: &StateMachine,
        picked: Vec<Picked>,
        answers: Vec<Result<Assigned, Refusal>>,
        now: Instant,
    ) {
        let mut answers = answers.into_iter();
        let mut given = Vec::new();
        for picked in picked {
            match answers.next() {
                Some(Ok(assigned)) => {
                    self.selector.decided(&picked, true);
                    given.push((assigned.instance, assigned.token));
                    self.count(assigned.instance, counted(picked, assigned.token));
                }
                Some(Err(refusal)) => {
                    tracing::debug!(work = ?picked.work, engine = %picked.item.engine, %refusal, "refused");
                    self.selector.decided(&picked, false);
                    self.resting.refused(picked.work, now);
                }
                None => self.selector.decided(&picked, false),
            }
        }
        // The end of some may have been applied before this.
        for (instance, token) in given {
            if !stands(machine, instance, token) {
                self.ended(instance);
            }
        }
    }

    /// Counts one for which the selector counts already.
    fn count(&mut self, instance: InstanceId, mut counted: Counted) {
        if let Some(walk) = counted.walk() {
            let walking = self.walks.entry(walk).or_default();
            // The first of the chunk was refused: its load is borne by this one.
            if walking.is_empty() && !counted.bears {
                self.selector.load(counted.engine, counted.weight);
                counted.bears = true;
            }
            walking.insert(instance);
        }
        self.counted.insert(instance, counted);
    }

    /// One has ended; what is left of its chunk bears its load on.
    fn ended(&mut self, instance: InstanceId) {
        let Some(ended) = self.counted.remove(&instance) else {
            return;
        };
        self.selector.ended(&ended.type_name);
        let heir = ended.walk().and_then(|walk| {
            let walking = self.walks.get_mut(&walk)?;
            walking.remove(&instance);
            let heir = walking.first().copied();
            if heir.is_none() {
                self.walks.remove(&walk);
            }
            heir
        });
        match heir.and_then(|heir| self.counted.get_mut(&heir)) {
            Some(heir) => heir.bears |= ended.bears,
            None if ended.bears => self.selector.unload(ended.engine, ended.weight),
            None => {}
        }
    }

    /// Entries were applied that changed these instances, and said this.
    pub fn applied(
        &mut self,
        machine: &StateMachine,
        instances: &[InstanceId],
        events: &[Event],
        now: Instant,
    ) {
        for event in events {
            if let (EventKind::Declined, Some(instance)) = (event.kind, event.instance) {
                let resource = event.resource.as_ref().map(|(resource, _)| *resource);
                self.resting.declined(instance, resource, now);
            }
        }
        for instance in instances {
            let Some(counted) = self.counted.get(instance) else {
                continue;
            };
            if stands(machine, *instance, counted.token) {
                continue;
            }
            if let (Weight::Inline, Some(since)) = (counted.weight, counted.since) {
                self.selector.took(counted.engine, since, now);
            }
            self.ended(*instance);
        }
    }

    /// Begins the count anew from the state. Proposals under way stay counted.
    pub fn count_all(&mut self, machine: &StateMachine, candidates: &[Candidate]) {
        let before: Vec<InstanceId> = self.counted.keys().copied().collect();
        for instance in before {
            self.ended(instance);
        }
        self.selector.engines(candidates);
        let assigned: Vec<AssignmentView> = machine
            .engines()
            .flat_map(|found| machine.assignments_of(found.engine))
            .collect();
        for assignment in assigned {
            let weight = self.selector.weight(&assignment.type_name);
            let counted = Counted {
                engine: assignment.engine,
                token: assignment.token,
                chunk: assignment.chunk.map(|(chunk, _)| chunk),
                type_name: assignment.type_name,
                weight,
                bears: false,
                since: None,
            };
            self.selector.began(&counted.type_name);
            let bears = counted.walk().is_none();
            if bears {
                self.selector.load(counted.engine, weight);
            }
            self.count(assignment.instance, Counted { bears, ..counted });
        }
    }

    /// Wakes what has rested.
    pub fn wake(&mut self, now: Instant) {
        self.resting.wake(now);
    }

    /// When the first of what rests has rested.
    pub fn rested(&self) -> Option<Instant> {
        self.resting.next()
    }

    /// How long until the rate of some type, for which ready work waits, lets more of it begin.
    pub fn rate_wait(&self) -> Option<Duration> {
        self.selector.rate_wait_ms().map(Duration::from_millis)
    }

    /// Whether the last decision left ready work unseen behind such that nobody can take.
    pub fn was_cut_short(&self) -> bool {
        self.selector.was_cut_short()
    }
}

fn counted(picked: Picked, token: Token) -> Counted {
    Counted {
        engine: picked.item.engine,
        token,
        chunk: picked.item.chunk,
        type_name: picked.type_name,
        weight: picked.weight,
        bears: picked.bears,
        since: Some(picked.since),
    }
}

fn stands(machine: &StateMachine, instance: InstanceId, token: Token) -> bool {
    let instance = machine.instance(instance);
    let assignment = instance.and_then(|instance| instance.row.assignment.as_deref());
    assignment.is_some_and(|assignment| assignment.token == token && !assignment.lost)
}
