//! What the leader knows of its assignments, and what it proposes next: everything of assigning but the waiting.
//!
//! Pure: the state and the time are arguments, a batch is a value. Told of every entry that is applied and of every
//! answer to a batch, it keeps count of what engines have; where it lost track, it counts anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anneal_provider::Registry;
use anneal_statemachine::StateMachine;
use anneal_statemachine::event::{Event, EventKind};
use anneal_statemachine::id::{EngineRef, InstanceId, Text, Token};
use anneal_statemachine::outcome::{Assigned, Refusal};
use anneal_statemachine::view::AssignmentView;

use super::load::Weight;
use super::rest::Resting;
use super::select::{Candidate, Moment, Picked, Selector};

/// An assignment that counts for its engine's load.
struct Counted {
    engine: EngineRef,
    token: Token,
    type_name: Text,
    weight: Weight,
}

/// The assigner's mind, for one leadership.
pub struct Chooser {
    selector: Selector,
    counted: BTreeMap<InstanceId, Counted>,
    resting: Resting,
}

impl Chooser {
    /// One that has counted nothing yet.
    pub fn new(registry: &Registry) -> Self {
        Self {
            selector: Selector::new(registry),
            counted: BTreeMap::new(),
            resting: Resting::default(),
        }
    }

    /// The next batch; empty if nothing can be given to anybody now.
    pub fn decide(
        &mut self,
        machine: &StateMachine,
        now_ms: u64,
        candidates: &[Candidate],
    ) -> Vec<Picked> {
        let resting = &self.resting;
        self.selector.decide(&Moment {
            machine,
            now_ms,
            candidates,
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
        for picked in picked {
            match answers.next() {
                Some(Ok(assigned)) => self.given(machine, picked, &assigned),
                Some(Err(refusal)) => {
                    tracing::debug!(work = ?picked.work, engine = %picked.item.engine, %refusal, "refused");
                    self.selector.decided(&picked, false);
                    self.resting.refused(picked.work, now);
                }
                None => self.selector.decided(&picked, false),
            }
        }
    }

    /// Counts what was given, unless it has ended already: its end may have been applied before this.
    fn given(&mut self, machine: &StateMachine, picked: Picked, assigned: &Assigned) {
        self.selector.decided(&picked, true);
        let Some(weight) = picked.weight else { return };
        let counted = Counted {
            engine: picked.item.engine,
            token: assigned.token,
            type_name: picked.type_name,
            weight,
        };
        if stands(machine, assigned.instance, assigned.token) {
            self.counted.insert(assigned.instance, counted);
        } else {
            self.ended(&counted);
        }
    }

    fn ended(&mut self, counted: &Counted) {
        self.selector
            .ended(counted.engine, &counted.type_name, counted.weight);
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
            if !stands(machine, *instance, counted.token)
                && let Some(counted) = self.counted.remove(instance)
            {
                self.ended(&counted);
            }
        }
    }

    /// Begins the count anew from the state. Proposals under way stay counted.
    pub fn count_all(&mut self, machine: &StateMachine, candidates: &[Candidate]) {
        for counted in std::mem::take(&mut self.counted).into_values() {
            self.ended(&counted);
        }
        let loads = candidates
            .iter()
            .map(|found| (found.engine, found.row.capacity));
        self.selector.engines(loads);
        let assigned: Vec<AssignmentView> = machine
            .engines()
            .flat_map(|found| machine.assignments_of(found.engine))
            .collect();
        for assignment in assigned {
            let weight = self.selector.weight(&assignment.type_name);
            let first = assignment.chunk.is_none_or(|(_, place)| place == 0);
            if weight == Weight::Call && !first {
                continue;
            }
            let type_name = assignment.type_name;
            self.selector.began(assignment.engine, &type_name, weight);
            self.counted.insert(
                assignment.instance,
                Counted {
                    engine: assignment.engine,
                    token: assignment.token,
                    type_name,
                    weight,
                },
            );
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

fn stands(machine: &StateMachine, instance: InstanceId, token: Token) -> bool {
    let instance = machine.instance(instance);
    let assignment = instance.and_then(|instance| instance.row.assignment.as_deref());
    assignment.is_some_and(|assignment| assignment.token == token && !assignment.lost)
}
