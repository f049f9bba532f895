//! Which work goes to which engine next: one batch, decided from the state as it is.
//!
//! Decides, and performs nothing. It may be wrong about anything but its own memory of what is under way:
//! the state machine checks each item. Work per decision is in proportion to what it takes, not to what is ready.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::time::Instant;

use anneal_provider::Registry;
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{AssignItem, AssignWork};
use anneal_statemachine::id::{EngineRef, StackId, Text};
use anneal_statemachine::row::Action;
use anneal_statemachine::view::{Chunk, Work, WorkView};

pub use super::candidate::Candidate;
use super::candidate::Candidates;
use super::company::Company;
use super::load::{Loads, Weight};
use super::overdue::Overdue;
use super::rate::Rates;
use super::turns::Turns;

/// Items in one log entry, at most: some milliseconds of `apply`, and some tens of KiB.
pub const MAX_BATCH_ITEMS: usize = 256;
/// Steps of one chunk, at most: what is lost with its engine is looked at one by one.
pub const MAX_CHUNK_STEPS: usize = 64;
/// Work that may be passed over for want of an engine before a stack's turn ends; the next turn goes on from there.
const MAX_PASSED_OVER: usize = 256;
/// The same over all stacks before the decision ends: it is made under the state's lock, and the next one goes on with the
/// stack whose turn it is then.
const MAX_PASSED_OVER_IN_ALL: usize = 1_024;
/// A resource with more dependents than this is no link of a chain: they are better spread over engines.
const MAX_FOLLOWED: usize = MAX_CHUNK_STEPS;
/// Of what engines carry of inline actions, this part may be a stack's while a small one has work, too: it is what that waits for.
const PART_IN_COMPANY: u64 = 4;
/// How long a call may take if neither the resource nor its type says: an hour, as Heat gives a whole stack.
const CALL_TIME_MS: u64 = 60 * 60 * 1_000;

/// One item of a batch, with what to remember of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picked {
    /// What is proposed.
    pub item: AssignItem,
    /// The work that it takes.
    pub work: Work,
    /// Its stack.
    pub stack: StackId,
    /// Its type.
    pub type_name: Text,
    /// What it costs its engine.
    pub weight: Weight,
    /// Its engine's load counts it. Of the calls of a chunk, which run one after the other, that is the first.
    pub bears: bool,
    /// When it was chosen.
    pub since: Instant,
}

/// What is known of a type.
#[derive(Clone, Copy, Debug)]
struct Kind {
    weight: Weight,
    time_ms: u64,
}

/// The memory between decisions.
pub struct Selector {
    turns: Turns<StackId>,
    overdue: Overdue<StackId>,
    company: Company<StackId>,
    loads: Loads<EngineRef>,
    rates: Rates,
    /// Proposed, and not known to be decided.
    under_way: HashSet<Work>,
    under_way_in: BTreeMap<StackId, u64>,
    /// Where the last turn of a stack ended.
    cursors: BTreeMap<StackId, Work>,
    kinds: HashMap<Text, Kind>,
    cut_short: bool,
}

/// What one decision goes by.
pub(super) struct Moment<'a> {
    /// The state.
    pub machine: &'a StateMachine,
    /// Its time now.
    pub now_ms: u64,
    /// The same moment by the clock of this member.
    pub now: Instant,
    /// Who takes work.
    pub candidates: Candidates<'a>,
    /// Work not to be proposed for now.
    pub aside: &'a dyn Fn(Work) -> bool,
}

impl Selector {
    /// A memory of nothing.
    pub fn new(registry: &Registry) -> Self {
        let kind = |schema: &anneal_provider::TypeSchema| {
            let time = schema.default_timeout;
            let time_ms = time.map_or(CALL_TIME_MS, |time| {
                u64::try_from(time.as_millis()).unwrap_or(CALL_TIME_MS)
            });
            let weight = if schema.capabilities.derived_id {
                Weight::Inline
            } else {
                Weight::Call
            };
            (Text::from(schema.name.as_str()), Kind { weight, time_ms })
        };
        Self {
            turns: Turns::default(),
            overdue: Overdue::default(),
            company: Company::default(),
            loads: Loads::default(),
            rates: Rates::new(registry),
            under_way: HashSet::new(),
            under_way_in: BTreeMap::new(),
            cursors: BTreeMap::new(),
            kinds: registry.schemas().map(kind).collect(),
            cut_short: false,
        }
    }

    /// The weight of an action of a type.
    pub fn weight(&self, type_name: &str) -> Weight {
        self.kinds
            .get(type_name)
            .map_or(Weight::Call, |kind| kind.weight)
    }

    /// The engines that take work.
    pub fn engines(&mut self, candidates: &[Candidate]) {
        let engines = candidates.iter();
        self.loads
            .engines(engines.map(|found| (found.engine, found.row.capacity)));
    }

    /// An action of a type is under way.
    pub fn began(&mut self, type_name: &str) {
        self.rates.began(type_name);
    }

    /// It has ended.
    pub fn ended(&mut self, type_name: &str) {
        self.rates.ended(type_name);
    }

    /// An engine has more to bear.
    pub fn load(&mut self, engine: EngineRef, weight: Weight) {
        self.loads.add(engine, weight);
    }

    /// An engine has less to bear.
    pub fn unload(&mut self, engine: EngineRef, weight: Weight) {
        self.loads.remove(engine, weight);
    }

    /// An inline action of an engine has ended now.
    pub fn took(&mut self, engine: EngineRef, since: Instant, now: Instant) {
        self.loads
            .took(engine, now.saturating_duration_since(since), now);
    }

    /// How long until the rate of some type, for which ready work waits, lets more of it begin.
    pub fn rate_wait_ms(&self) -> Option<u64> {
        self.rates.wait_ms()
    }

    /// The next batch; empty if nothing can be given to anybody now.
    pub(super) fn decide(&mut self, moment: &Moment<'_>) -> Vec<Picked> {
        self.engines(moment.candidates.all());
        self.rates.refill(moment.now_ms);
        self.cut_short = false;
        self.overdue.begin();
        let carried = self.loads.most_inline();
        let mut batch = Batch {
            share: (carried / PART_IN_COMPANY).max(MAX_CHUNK_STEPS as u64),
            ..Batch::default()
        };
        let mut spent = BTreeSet::new();
        while batch.picked.len() < MAX_BATCH_ITEMS && self.any_room() {
            if batch.passed_over >= MAX_PASSED_OVER_IN_ALL {
                self.cut_short = true;
                break;
            }
            let overdue_first = batch.passed_over < MAX_PASSED_OVER_IN_ALL / 2;
            let Some((stack, credit)) = self.next_turn(moment, &spent, overdue_first) else {
                break;
            };
            let before = batch.picked.len();
            batch.wanting.clear();
            let more = self.turn(moment, stack, credit, &mut batch);
            let taken = &batch.picked[before..];
            let took = i64::try_from(taken.len()).unwrap_or(i64::MAX);
            self.turns.took(stack, credit, took);
            if took > 0 && is_small(moment, stack) {
                self.company.served(stack, moment.now);
            }
            let got = |weight: &Weight| taken.iter().any(|picked| picked.weight == *weight);
            if !batch.wanting.iter().all(got) {
                self.overdue.passed_over(stack);
            }
            if !more {
                spent.insert(stack);
            }
        }
        batch.picked
    }

    /// Whose turn it is, and how much of it is left. Those that nobody has room for whatever becomes free must not keep
    /// the others from their turns: they come first for half of a decision at most.
    fn next_turn(
        &mut self,
        moment: &Moment<'_>,
        spent: &BTreeSet<StackId>,
        overdue_first: bool,
    ) -> Option<(StackId, i64)> {
        while overdue_first && let Some(stack) = self.overdue.next() {
            let mut ready = moment.machine.ready_in(stack, moment.now_ms);
            if !spent.contains(&stack) && ready.next().is_some() {
                return Some((stack, self.turns.out_of_turn(stack)));
            }
        }
        self.turns.next(|beyond: Bound<StackId>| {
            let beyond = (beyond, Bound::Unbounded);
            let mut ready = moment.machine.ready_stacks(beyond, moment.now_ms);
            ready.find(|stack| !spent.contains(stack))
        })
    }

    /// A proposal was decided, or came to nothing: its work may be proposed again if it is still ready. The
    /// load stays with those that were given.
    pub fn decided(&mut self, picked: &Picked, given: bool) {
        self.under_way.remove(&picked.work);
        if let Some(count) = self.under_way_in.get_mut(&picked.stack) {
            *count -= 1;
            if *count == 0 {
                self.under_way_in.remove(&picked.stack);
            }
        }
        if given {
            return;
        }
        self.ended(&picked.type_name);
        if picked.bears {
            self.unload(picked.item.engine, picked.weight);
        }
    }

    /// Whether the last decision left ready work unseen behind such that nobody can take: another should follow soon,
    /// even if nothing changes.
    pub fn was_cut_short(&self) -> bool {
        self.cut_short
    }

    fn any_room(&self) -> bool {
        self.loads.any_room(Weight::Call) || self.loads.any_room(Weight::Inline)
    }

    /// One stack's turn; false if there is nothing more to take from it for now.
    fn turn(
        &mut self,
        moment: &Moment<'_>,
        stack: StackId,
        credit: i64,
        batch: &mut Batch,
    ) -> bool {
        if !self.any_room_for(moment.machine, stack, batch) {
            return false;
        }
        let allowance = self.allowance(moment, stack, batch.share);
        let mut allowance = allowance.min(credit.unsigned_abs());
        let mut passed_over = 0;
        let mut last_seen = None;
        let mut last_taken = None;
        let from = self.cursors.get(&stack).copied();
        let beyond = moment.machine.ready_after(stack, moment.now_ms, from);
        // Once around: what lies before where the last turn ended comes last.
        let around = moment.machine.ready_in(stack, moment.now_ms);
        let around = around.take_while(|work| from.is_some_and(|from| *work <= from));
        let mut all = beyond.chain(around);
        let ended = loop {
            if allowance == 0
                || passed_over >= MAX_PASSED_OVER
                || batch.picked.len() >= MAX_BATCH_ITEMS
            {
                break false;
            }
            let Some(work) = all.next() else { break true };
            if self.under_way.contains(&work) || (moment.aside)(work) {
                continue;
            }
            last_seen = Some(work);
            let taken = self.take(moment, work, batch);
            if taken == 0 {
                passed_over += 1;
            } else {
                last_taken = Some(work);
                allowance = allowance.saturating_sub(taken);
            }
        };
        match last_taken.or(last_seen) {
            Some(work) => self.cursors.insert(stack, work),
            None => self.cursors.remove(&stack),
        };
        batch.passed_over += passed_over;
        if !ended && passed_over >= MAX_PASSED_OVER {
            self.cut_short = true;
        }
        !ended && last_taken.is_some()
    }

    /// Whether any engine at all has room for any type of what is ready in a stack. Without, no piece of it need be looked at.
    fn any_room_for(&mut self, machine: &StateMachine, stack: StackId, batch: &mut Batch) -> bool {
        for type_name in machine.ready_types(stack) {
            let weight = self.weight(type_name);
            if self.rates.room(type_name) > 0 && self.loads.any_room(weight) {
                return true;
            }
            batch.wanting.insert(weight);
        }
        false
    }

    /// How many more actions a stack may have at once.
    fn allowance(&self, moment: &Moment<'_>, stack: StackId, share: u64) -> u64 {
        let Some(view) = moment.machine.stack(stack) else {
            return 0;
        };
        let under_way = self.under_way_in.get(&stack).copied().unwrap_or(0);
        let most = view.row.options.parallelism.map_or(u64::MAX, u64::from);
        let most = match self.leaves_room(moment, stack) {
            true => most.min(share),
            false => most,
        };
        most.saturating_sub(view.running + under_way)
    }

    /// It has a share only, for the sake of small ones. Calls hold nobody up: they wait for an outside world.
    fn leaves_room(&self, moment: &Moment<'_>, stack: StackId) -> bool {
        let is_inline = |type_name: &Text| self.weight(type_name) == Weight::Inline;
        self.company.has(&stack, moment.now) && moment.machine.ready_types(stack).all(is_inline)
    }

    /// Takes a piece of work, and what may travel with it; returns how many items that is.
    fn take(&mut self, moment: &Moment<'_>, work: Work, batch: &mut Batch) -> u64 {
        let Some(view) = moment.machine.work(work) else {
            return 0;
        };
        if view.not_before_ms > moment.now_ms {
            return 0;
        }
        let weight = self.weight(&view.type_name);
        if self.rates.room(&view.type_name) == 0 {
            batch.wanting.insert(weight);
            return 0;
        }
        let Some(candidate) = self.lightest(moment, &view, weight) else {
            batch.wanting.insert(weight);
            return 0;
        };
        let engine = candidate.engine;
        let room = MAX_BATCH_ITEMS - batch.picked.len();
        let followers = self.followers(moment, &view, candidate, room.min(MAX_CHUNK_STEPS));
        let chunk = (!followers.is_empty()).then(|| batch.next_chunk());
        let steps = 1 + followers.len() as u64;
        let mut calls = 0;
        for step in std::iter::once(view).chain(followers) {
            let weight = self.weight(&step.type_name);
            calls += u32::from(weight == Weight::Call);
            let bears = weight == Weight::Inline || calls == 1;
            let picked = self.pick(moment, &step, engine, chunk, bears);
            batch.picked.push(picked);
        }
        steps
    }

    /// The least loaded engine with room that this fits.
    fn lightest<'a>(
        &self,
        moment: &Moment<'a>,
        view: &WorkView,
        weight: Weight,
    ) -> Option<&'a Candidate> {
        let candidates = &moment.candidates;
        let engine = match &view.host {
            Some(host) => {
                let here = candidates.on_host(host).iter().filter(|it| it.fits(view));
                self.loads.lightest_of(weight, here.map(|it| it.engine))
            }
            None => {
                let fits =
                    |engine: &EngineRef| candidates.get(*engine).is_some_and(|it| it.fits(view));
                self.loads.lightest(weight, fits)
            }
        };
        engine.and_then(|engine| candidates.get(engine))
    }

    fn pick(
        &mut self,
        moment: &Moment<'_>,
        view: &WorkView,
        engine: EngineRef,
        chunk: Option<u32>,
        bears: bool,
    ) -> Picked {
        let weight = self.weight(&view.type_name);
        let work = match view.work {
            Work::Make(resource) => AssignWork::Make {
                resource,
                definition: view.definition,
            },
            Work::Look(instance) => AssignWork::Look { instance },
            Work::Delete(instance) => AssignWork::Delete { instance },
        };
        let kind_ms = self
            .kinds
            .get(&view.type_name)
            .map_or(CALL_TIME_MS, |kind| kind.time_ms);
        let time_ms = view.timeout_ms.unwrap_or(kind_ms);
        self.under_way.insert(view.work);
        *self.under_way_in.entry(view.stack).or_default() += 1;
        self.rates.spend(&view.type_name);
        self.began(&view.type_name);
        if bears {
            self.load(engine, weight);
        }
        Picked {
            item: AssignItem {
                work,
                engine,
                not_after_ms: moment.now_ms.saturating_add(time_ms),
                chunk,
            },
            work: view.work,
            stack: view.stack,
            type_name: view.type_name.clone(),
            weight,
            bears,
            since: moment.now,
        }
    }

    /// What travels in the same chunk after a first step, in order. Calls are walked one after the other, so only
    /// a chain of them gains by it; inline actions gain in any shape.
    fn followers(
        &mut self,
        moment: &Moment<'_>,
        first: &WorkView,
        candidate: &Candidate,
        most: usize,
    ) -> Vec<WorkView> {
        let mut followers = Vec::new();
        if !first.chunkable {
            return followers;
        }
        let parallelism = moment.machine.stack(first.stack);
        if parallelism.is_some_and(|stack| stack.row.options.parallelism.is_some()) {
            return followers;
        }
        let mut chunk = Chunk::default();
        add(&mut chunk, first.work);
        let mut taken_of = BTreeMap::from([(first.type_name.clone(), 1)]);
        let mut tips = vec![first.work];
        let calls = self.loads.free(&candidate.engine, Weight::Call) > 0;
        let may_call = calls || self.weight(&first.type_name) == Weight::Call;
        while let Some(tip) = tips.pop() {
            for next in after(moment.machine, &chunk, tip) {
                let inline = self.weight(&next.type_name) == Weight::Inline;
                if followers.len() + 1 >= most {
                    return followers;
                }
                let taken = chunk_has(&chunk, next.work) || self.under_way.contains(&next.work);
                if taken || !candidate.fits(&next) || !(inline || may_call) {
                    continue;
                }
                let taken = taken_of.entry(next.type_name.clone()).or_insert(0_usize);
                if *taken >= self.rates.room(&next.type_name) {
                    continue;
                }
                *taken += 1;
                add(&mut chunk, next.work);
                tips.push(next.work);
                followers.push(next);
                if !inline {
                    break;
                }
            }
        }
        followers
    }
}

/// A batch being put together.
#[derive(Default)]
struct Batch {
    picked: Vec<Picked>,
    chunks: u32,
    passed_over: usize,
    /// Inline actions that a stack may have while a small one has work, too.
    share: u64,
    /// What there was no room for in the present turn.
    wanting: BTreeSet<Weight>,
}

impl Batch {
    fn next_chunk(&mut self) -> u32 {
        self.chunks += 1;
        self.chunks
    }
}

/// Whether no more than a batch is left of a stack's work: its user waits for the way, not for the amount.
fn is_small(moment: &Moment<'_>, stack: StackId) -> bool {
    let view = moment.machine.stack(stack);
    view.is_some_and(|view| {
        let counts = view.counts;
        let left = counts.waiting + counts.ready + counts.in_flight + counts.unwanted;
        left <= MAX_BATCH_ITEMS as u64 && view.row.queue.is_empty()
    })
}

fn add(chunk: &mut Chunk, work: Work) {
    match work {
        Work::Make(resource) => chunk.add_create(resource),
        Work::Delete(instance) => chunk.add_delete(instance),
        Work::Look(_) => {}
    }
}

fn chunk_has(chunk: &Chunk, work: Work) -> bool {
    match work {
        Work::Make(resource) => chunk.has_create(resource),
        Work::Delete(instance) => chunk.has_delete(instance),
        Work::Look(_) => false,
    }
}

fn after(machine: &StateMachine, chunk: &Chunk, tip: Work) -> Vec<WorkView> {
    match tip {
        Work::Make(resource) => {
            if machine.required_by(resource).nth(MAX_FOLLOWED).is_some() {
                return Vec::new();
            }
            let mut found = machine.creates_after(chunk, resource);
            found.retain(|view| view.action == Action::Create);
            found
        }
        Work::Delete(instance) => machine.deletes_after(chunk, instance),
        Work::Look(_) => Vec::new(),
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
