//! A simulated cluster: one log, engines that only pretend, stacks of two sizes; and the chooser that is measured.
//!
//! Time is the simulation's: a round is one flight of the log. What is measured is real time, of single calls.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use anneal_node::dispatch::choose::Chooser;
use anneal_node::dispatch::select::{Candidate, Picked};
use anneal_provider::{Limits, Registry};
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{
    ActionResult, Blob, Change, ChangeStack, Command, CommandKind, Definition, Difference, Done,
    Looked, RegisterEngine, ReportItem, SetResource, StackOptions, Stamp, TypeTraits,
};
use anneal_statemachine::digest::{blob_digest, definition_digest};
use anneal_statemachine::id::{EngineRef, InstanceId, RequestId, StackId, Token};
use anneal_statemachine::outcome::Outcome;
use anneal_statemachine::row::{Action, RowKey};
use anneal_statemachine::view::Status;

use crate::Flags;
use crate::memory;
use crate::numbers::{Dice, Samples};
use crate::report::Figures;
use crate::types::{Kind, registry};

const INLINE: &str = "Scale::Inline";
/// Calls are of several types, as engines offer more than one.
const CALLS: u64 = 16;
/// One flight of the log, with its fsync.
const ROUND_MS: u64 = 5;
/// How long a call takes, at least and at most.
const CALL_MS: (u64, u64) = (50, 500);
/// Batches on their way at a time, as the product has them.
const MAX_PENDING: usize = 3;
/// Results in one entry.
const MAX_RESULTS: usize = 256;
/// A stack of ten resources comes with every so many decisions.
const SMALL_EVERY: u64 = 20;
const SMALL: u64 = 10;
/// An engine is lost in every so many rounds, and is back after some.
const EXPIRY_EVERY: u64 = 40;
const BACK_AFTER: u64 = 30;
/// So many rounds without a decision are the end: longer than anything rests.
const QUIET_ROUNDS: u64 = 600;

/// A small stack, by the number of the decision that it waits since.
struct Small {
    declared_at: u64,
    given: u64,
}

type Running = Reverse<(u64, InstanceId, Token, EngineRef)>;

#[derive(Default)]
struct Times {
    decision: Samples,
    item: Samples,
    idle: Samples,
    candidates: Samples,
    applied: Samples,
    decided: Samples,
    apply: Samples,
    count_all: Samples,
}

pub(crate) struct Cluster {
    flags: Flags,
    machine: StateMachine,
    index: u64,
    now_ms: u64,
    dice: Dice,
    registry: Registry,
    chooser: Chooser,
    pending: VecDeque<Vec<Picked>>,
    running: BinaryHeap<Running>,
    /// Until when the chunk of an entry is walked.
    walks: BTreeMap<(Token, u32), u64>,
    small: BTreeMap<StackId, Small>,
    away: VecDeque<(u64, u64)>,
    times: Times,
    figures: Figures,
    /// The moment of time 0.
    began: Instant,
}

impl Cluster {
    pub(crate) fn new(flags: &Flags, engines: u64) -> Self {
        let kind = |name: String, derived| Kind {
            name,
            derived,
            limits: Limits::default(),
        };
        let calls = (0..CALLS).map(|number| kind(call(number), false));
        let kinds: Vec<Kind> = calls.chain([kind(INLINE.to_owned(), true)]).collect();
        let registry = registry(&kinds);
        Self {
            flags: flags.clone(),
            machine: StateMachine::new(),
            index: 0,
            now_ms: 0,
            dice: Dice::new(flags.seed),
            chooser: Chooser::new(&registry),
            registry,
            pending: VecDeque::new(),
            running: BinaryHeap::new(),
            walks: BTreeMap::new(),
            small: BTreeMap::new(),
            away: VecDeque::new(),
            times: Times::default(),
            figures: Figures {
                engines,
                resources: flags.resources,
                stacks: flags.stacks,
                ..Figures::default()
            },
            began: Instant::now(),
        }
    }

    /// Runs until everything has converged or enough was seen.
    pub(crate) fn measure(mut self) -> Figures {
        let before = memory::resident();
        (1..=self.figures.engines).for_each(|member| self.register(member));
        self.decide();
        let grown = memory::resident().saturating_sub(before);
        self.figures.bytes_per_engine = grown / self.figures.engines.max(1);
        self.times = Times::default();
        let half = self.flags.resources / 2;
        self.declare(half);
        let others = self.flags.stacks.saturating_sub(1).max(1);
        (0..others).for_each(|_| {
            self.declare(half / others);
        });
        self.rounds();
        self.figures.converged = self
            .machine
            .stacks()
            .all(|stack| stack.status == Status::Converged);
        self.figures.peak_bytes = memory::peak();
        let times = &self.times;
        Figures {
            decision: times.decision.spread(),
            item: times.item.spread(),
            idle: times.idle.spread(),
            candidates: times.candidates.spread(),
            applied: times.applied.spread(),
            decided: times.decided.spread(),
            apply: times.apply.spread(),
            count_all: times.count_all.spread(),
            ..self.figures
        }
    }

    fn rounds(&mut self) {
        let until = Instant::now() + Duration::from_secs(self.flags.patience);
        let (mut decisions, mut quiet, mut round) = (0, 0, 0_u64);
        while decisions < self.flags.decisions && quiet < QUIET_ROUNDS && Instant::now() < until {
            round += 1;
            quiet += 1;
            while self.pending.len() < MAX_PENDING && self.decide() {
                decisions += 1;
                quiet = 0;
                if decisions % SMALL_EVERY == 0 {
                    let stack = self.declare(SMALL);
                    let small = Small {
                        declared_at: decisions,
                        given: 0,
                    };
                    self.small.insert(stack, small);
                    self.figures.small_stacks += 1;
                }
            }
            while let Some(picked) = self.pending.pop_front() {
                self.commit(picked, decisions);
            }
            self.count_anew();
            self.now_ms += ROUND_MS;
            self.report();
            self.come_and_go(round);
            self.chooser.wake(self.moment());
        }
    }

    fn moment(&self) -> Instant {
        self.began + Duration::from_millis(self.now_ms)
    }

    fn apply(&mut self, kind: CommandKind) -> (Outcome, Duration) {
        self.index += 1;
        let stamp = Stamp {
            state_ms: self.now_ms,
            wall_ms: self.now_ms,
        };
        let began = Instant::now();
        let applied = self.machine.apply(self.index, Command { stamp, kind });
        let took = began.elapsed();
        let instances: BTreeSet<InstanceId> = applied
            .rows
            .iter()
            .filter_map(|change| match change.key {
                RowKey::Instance(instance) => Some(instance),
                _ => None,
            })
            .collect();
        let instances: Vec<InstanceId> = instances.into_iter().collect();
        let now = self.moment();
        let began = Instant::now();
        self.chooser
            .applied(&self.machine, &instances, &applied.events, now);
        self.times.applied.add(began.elapsed());
        (applied.outcome, took)
    }

    fn register(&mut self, member: u64) {
        let calls = (0..CALLS).map(|number| call(number).as_str().into());
        self.apply(CommandKind::RegisterEngine(RegisterEngine {
            member,
            host: format!("host-{member}").into(),
            address: "".into(),
            capacity: self.flags.capacity,
            offers: calls.chain([INLINE.into()]).collect(),
            labels: Vec::new(),
            follows: None,
        }));
    }

    /// A stack of so many resources, a third of them inline; one in ten calls is bound to its host.
    fn declare(&mut self, count: u64) -> StackId {
        let resource = |place: u64| {
            let type_name = match place % 3 {
                0 => INLINE.to_owned(),
                _ => call(place % CALLS),
            };
            let body = bytes::Bytes::from(place.to_string());
            let text = bytes::Bytes::from_static(b"{}");
            SetResource {
                name: format!("r{place}").into(),
                definition: Some(Definition {
                    digest: definition_digest(&type_name, &body),
                    type_name: type_name.as_str().into(),
                    body,
                    references: Vec::new(),
                    depends_on: Vec::new(),
                    policy: Default::default(),
                    traits: TypeTraits {
                        can_look: true,
                        derived_id: type_name == INLINE,
                        host_bound: type_name != INLINE && place.is_multiple_of(10),
                        ..TypeTraits::default()
                    },
                }),
                fragment: Blob {
                    digest: blob_digest(&text),
                    bytes: text,
                },
                parameters_used: Vec::new(),
            }
        };
        let difference = Difference {
            set: (0..count).map(resource).collect(),
            options: Some(StackOptions::default()),
            ..Difference::default()
        };
        let mut request = [0; 16];
        request[8..].copy_from_slice(&self.index.to_be_bytes());
        let (outcome, _) = self.apply(CommandKind::ChangeStack(ChangeStack {
            request: RequestId(request),
            namespace: "default".into(),
            name: format!("s{}", self.index).into(),
            change: Change::Create { difference },
        }));
        while self.machine.wants_advance() {
            self.apply(CommandKind::Advance);
        }
        match outcome {
            Outcome::Stack(answer) => answer.stack,
            other => panic!("{other:?}"),
        }
    }

    fn candidates(&mut self) -> Vec<Candidate> {
        let began = Instant::now();
        let candidates = Candidate::all(&self.machine).collect();
        self.times.candidates.add(began.elapsed());
        candidates
    }

    fn decide(&mut self) -> bool {
        let candidates = self.candidates();
        let now = self.moment();
        let began = Instant::now();
        let picked = self
            .chooser
            .decide(&self.machine, self.now_ms, now, &candidates);
        let took = began.elapsed();
        if picked.is_empty() {
            self.times.idle.add(took);
            return false;
        }
        self.times.decision.add(took);
        self.times.item.add_each(took, picked.len());
        self.pending.push_back(picked);
        true
    }

    fn commit(&mut self, picked: Vec<Picked>, decisions: u64) {
        let items = picked.iter().map(|picked| picked.item.clone()).collect();
        let (outcome, took) = self.apply(CommandKind::Assign { items });
        self.times.apply.add(took);
        let Outcome::Assigned(answers) = outcome else {
            panic!("an assignment is answered item by item");
        };
        for (picked, answer) in picked.iter().zip(&answers) {
            let Ok(assigned) = answer else {
                self.figures.refused += 1;
                continue;
            };
            self.figures.assigned += 1;
            let takes_ms = match picked.type_name.as_ref() == INLINE {
                true => 0,
                false => self.dice.within(CALL_MS.0, CALL_MS.1),
            };
            let mut end_ms = self.now_ms + takes_ms;
            if let Some(chunk) = picked.item.chunk {
                let walked = self.walks.entry((assigned.token, chunk)).or_insert(end_ms);
                end_ms = end_ms.max(*walked + takes_ms);
                *walked = end_ms;
            }
            let running = (
                end_ms,
                assigned.instance,
                assigned.token,
                picked.item.engine,
            );
            self.running.push(Reverse(running));
            self.given(picked.stack, decisions);
        }
        let now = self.moment();
        let began = Instant::now();
        self.chooser.decided(&self.machine, picked, answers, now);
        self.times.decided.add(began.elapsed());
    }

    /// A stack was given something: if it is one of the small ones, how long did it wait?
    fn given(&mut self, stack: StackId, decisions: u64) {
        let Some(small) = self.small.get_mut(&stack) else {
            return;
        };
        let waited = decisions - small.declared_at;
        small.given += 1;
        let figures = &mut self.figures;
        if small.given == 1 {
            figures.longest_wait_first = figures.longest_wait_first.max(waited);
        }
        if small.given == SMALL {
            figures.longest_wait_last = figures.longest_wait_last.max(waited);
            self.small.remove(&stack);
        }
    }

    /// Once, when engines have much: what another leader does first.
    fn count_anew(&mut self) {
        let room = self.figures.engines * u64::from(self.flags.capacity);
        let much = room.min(self.flags.resources / 8) * 3 / 4;
        let in_flight = self.running.len() as u64;
        if self.figures.most_in_flight > 0 || in_flight < much {
            return;
        }
        self.figures.most_in_flight = in_flight;
        let candidates = self.candidates();
        let before = memory::resident();
        let mut another = Chooser::new(&self.registry);
        let began = Instant::now();
        another.count_all(&self.machine, &candidates);
        self.times.count_all.add(began.elapsed());
        let grown = memory::resident().saturating_sub(before);
        self.figures.bytes_per_assignment = grown / in_flight.max(1);
    }

    fn report(&mut self) {
        let mut items = Vec::new();
        while let Some(Reverse((end_ms, instance, token, engine))) = self.running.peek().copied() {
            if end_ms > self.now_ms {
                break;
            }
            self.running.pop();
            let assignment = self.machine.assignment(instance);
            let Some(assignment) = assignment.filter(|found| found.token == token) else {
                continue;
            };
            let done = Done {
                physical_id: Some(format!("o{instance}").into()),
                ..Done::default()
            };
            let result = match assignment.action {
                Action::Look => ActionResult::Looked(Looked::AsAimed(done)),
                _ => ActionResult::Done(done),
            };
            items.push(ReportItem {
                instance,
                token,
                engine,
                result,
            });
            if items.len() == MAX_RESULTS {
                let items = std::mem::take(&mut items);
                self.apply(CommandKind::Report { items });
            }
        }
        if !items.is_empty() {
            self.apply(CommandKind::Report { items });
        }
    }

    /// Engines are lost, and come back.
    fn come_and_go(&mut self, round: u64) {
        while let Some((_, member)) = self.away.pop_front_if(|(back, _)| *back <= round) {
            self.register(member);
        }
        if !round.is_multiple_of(EXPIRY_EVERY) || self.figures.engines < 2 {
            return;
        }
        let member = self.dice.within(1, self.figures.engines);
        let found = self.machine.engine(member).map(|found| found.engine);
        if let Some(engine) = found {
            let (outcome, _) = self.apply(CommandKind::ExpireEngine(engine));
            if matches!(outcome, Outcome::Taken) {
                self.figures.expired += 1;
                self.away.push_back((round + BACK_AFTER, member));
            }
        }
    }
}

fn call(number: u64) -> String {
    format!("Scale::Call{number}")
}
