//! The product's chooser in the place of the simulation's leader, and the laws of what engines have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use anneal_node::dispatch::choose::Chooser;
use anneal_node::dispatch::select::{Candidate, Picked};
use anneal_provider::{Limits, Registry};
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::AssignItem;
use anneal_statemachine::id::{EngineRef, InstanceId, Text, Token};
use anneal_statemachine::outcome::{Applied, Assigned, Refusal};
use anneal_statemachine::row::RowKey;

use super::config::Config;
use super::dice::Dice;
use super::laws::{Broken, broken};
use super::leads::Leads;
use super::types::{Kind, registry};

/// Between decisions that left something unseen.
const UNSEEN_MS: u64 = 50;

/// A leader as the product has it, on a clock that is the simulation's.
pub struct Mind {
    kinds: Vec<Kind>,
    registry: Registry,
    chooser: Chooser,
    pending: VecDeque<Vec<Picked>>,
    /// The moment of state time 0.
    began: Instant,
}

impl Mind {
    /// One that knows the types of this history.
    pub fn new(config: &Config) -> Self {
        let mut dice = Dice::new(config.steps ^ 0x11a1);
        let kinds = config.kinds.iter().map(|powers| Kind {
            name: powers.name.clone(),
            derived: powers.derived,
            limits: Limits {
                max_calls_per_second: dice.percent(25).then(|| dice.within(1, 6) as u32),
                max_concurrent_calls: dice.percent(25).then(|| dice.within(1, 3) as u32),
            },
        });
        Self::of(kinds.collect())
    }

    /// One that knows these types.
    pub fn of(kinds: Vec<Kind>) -> Self {
        let registry = registry(&kinds);
        Self {
            chooser: Chooser::new(&registry),
            kinds,
            registry,
            pending: VecDeque::new(),
            began: Instant::now(),
        }
    }

    fn moment(&self, now_ms: u64) -> Instant {
        self.began + Duration::from_millis(now_ms)
    }

    fn kind(&self, type_name: &str) -> &Kind {
        let mut kinds = self.kinds.iter();
        kinds
            .find(|kind| kind.name == type_name)
            .expect("every type is declared")
    }
}

/// The calls of an engine: single ones, and of each chunk the one that its walk has come to.
fn calls_of(
    machine: &StateMachine,
    engine: EngineRef,
    is_call: impl Fn(&Text) -> bool,
) -> Vec<Text> {
    let mut walks: BTreeMap<(Token, u32), (u32, Text)> = BTreeMap::new();
    let mut calls = Vec::new();
    for assignment in machine.assignments_of(engine) {
        if !is_call(&assignment.type_name) {
            continue;
        }
        let Some((chunk, place)) = assignment.chunk else {
            calls.push(assignment.type_name);
            continue;
        };
        let walk = walks
            .entry((assignment.token, chunk))
            .or_insert_with(|| (place, assignment.type_name.clone()));
        if place < walk.0 {
            *walk = (place, assignment.type_name);
        }
    }
    calls.extend(walks.into_values().map(|(_, type_name)| type_name));
    calls
}

impl Leads for Mind {
    fn elected(&mut self, machine: &StateMachine) {
        self.pending.clear();
        self.chooser = Chooser::new(&self.registry);
        self.chooser
            .count_all(machine, &Candidate::all(machine).collect::<Vec<_>>());
    }

    fn decide(&mut self, machine: &StateMachine, now_ms: u64) -> Vec<AssignItem> {
        self.chooser.wake(self.moment(now_ms));
        let picked = self.chooser.decide(
            machine,
            now_ms,
            self.moment(now_ms),
            &Candidate::all(machine).collect::<Vec<_>>(),
        );
        let items = picked.iter().map(|picked| picked.item.clone()).collect();
        if !picked.is_empty() {
            self.pending.push_back(picked);
        }
        items
    }

    fn decided(
        &mut self,
        machine: &StateMachine,
        answers: Vec<Result<Assigned, Refusal>>,
        now_ms: u64,
    ) {
        let picked = self.pending.pop_front().expect("it was decided");
        let now = self.moment(now_ms);
        self.chooser.decided(machine, picked, answers, now);
    }

    fn applied(&mut self, machine: &StateMachine, applied: &Applied, now_ms: u64) {
        let instances: BTreeSet<InstanceId> = applied
            .rows
            .iter()
            .filter_map(|change| match change.key {
                RowKey::Instance(instance) => Some(instance),
                _ => None,
            })
            .collect();
        let instances: Vec<InstanceId> = instances.into_iter().collect();
        let now = self.moment(now_ms);
        self.chooser
            .applied(machine, &instances, &applied.events, now);
    }

    fn wait_ms(&mut self, now_ms: u64) -> Option<u64> {
        let now = self.moment(now_ms);
        let until = |moment: Instant| moment.saturating_duration_since(now).as_millis();
        let rested = self.chooser.rested().map(until);
        let rate = self.chooser.rate_wait().map(|wait| wait.as_millis());
        let unseen = self.chooser.was_cut_short().then_some(UNSEEN_MS.into());
        let soonest = rested.into_iter().chain(rate).chain(unseen).min()?;
        u64::try_from(soonest).ok()
    }

    fn check(&self, machine: &StateMachine) -> Result<(), Broken> {
        let mut of_type: BTreeMap<Text, u32> = BTreeMap::new();
        for found in machine.engines() {
            let calls = calls_of(machine, found.engine, |name| !self.kind(name).derived);
            if calls.len() > found.row.capacity as usize {
                let text = format!("{} has {calls:?}", found.engine);
                return broken("no engine has more calls than it can make", text);
            }
            for call in calls {
                *of_type.entry(call).or_default() += 1;
            }
        }
        for (name, count) in of_type {
            let most = self.kind(&name).limits.max_concurrent_calls;
            if most.is_some_and(|most| count > most) {
                let text = format!("{count} of {name}");
                return broken("no more calls of a type at a time than it bears", text);
            }
        }
        Ok(())
    }
}
