//! A large stack and small ones on few engines: nobody is kept waiting beyond his turn, and all of it is carried out.
//! Seeded; engines are lost, leaders change, actions take their time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anneal_provider::Limits;
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{
    ActionResult, AssignItem, Blob, Change, ChangeStack, Command, CommandKind, Definition,
    Difference, Done, Looked, RegisterEngine, ReportItem, SetResource, StackOptions, Stamp,
    TypeTraits,
};
use anneal_statemachine::digest::{blob_digest, definition_digest};
use anneal_statemachine::id::{EngineRef, InstanceId, RequestId, StackId, Token};
use anneal_statemachine::outcome::Outcome;
use anneal_statemachine::row::Action;
use anneal_statemachine::view::{AssignmentView, Status, Work};
use bytes::Bytes;

use super::dice::Dice;
use super::leads::Leads;
use super::mind::Mind;
use super::types::Kind;

/// Histories of an ordinary test run.
const SEEDS: u64 = 60;
/// Steps within which a crowd must be through; an action takes some steps, and a large stack has hundreds.
const MOST_STEPS: u64 = 60_000;
/// What the dispatcher lets rest that was refused, or declined again.
const REST_MS: u64 = 500;
/// Rounds of turns within which a stack with something ready is given something: the one under way, and its own.
const ROUNDS: u64 = 2;

const CALL: &str = "Call";
const INLINE: &str = "Inline";
const LIMITED: &str = "Limited";

/// Types that only engines without room keep waiting.
const TURNS: [&str; 2] = [CALL, INLINE];

fn kinds() -> Vec<Kind> {
    let kind = |name: &str, derived, limits| Kind {
        name: name.into(),
        derived,
        limits,
    };
    let few = Limits {
        max_calls_per_second: Some(40),
        max_concurrent_calls: Some(3),
    };
    vec![
        kind(CALL, false, Limits::default()),
        kind(INLINE, true, Limits::default()),
        kind(LIMITED, false, few),
    ]
}

struct Crowd {
    machine: StateMachine,
    index: u64,
    now_ms: u64,
    mind: Mind,
    pending: VecDeque<Vec<AssignItem>>,
    /// When what runs will have ended.
    ends: BTreeMap<(InstanceId, Token), u64>,
    engines: Vec<(u64, u32)>,
    /// How many decisions have given something of a type to others alone, since a stack has some ready too.
    waits: BTreeMap<(StackId, &'static str), u64>,
    /// Until when a stack may have work that rests, since it was refused or declined.
    rests: BTreeMap<StackId, u64>,
    stacks: Vec<StackId>,
    longest_wait: u64,
}

impl Crowd {
    fn new(dice: &mut Dice) -> Self {
        let engines = (1..=dice.within(1, 3)).map(|member| (member, dice.within(1, 6) as u32));
        let mut crowd = Self {
            machine: StateMachine::new(),
            index: 0,
            now_ms: 0,
            mind: Mind::of(kinds()),
            pending: VecDeque::new(),
            ends: BTreeMap::new(),
            engines: engines.collect(),
            waits: BTreeMap::new(),
            rests: BTreeMap::new(),
            stacks: Vec::new(),
            longest_wait: 0,
        };
        for at in 0..crowd.engines.len() {
            crowd.register(at);
        }
        crowd
    }

    fn apply(&mut self, kind: CommandKind) -> Outcome {
        self.index += 1;
        let stamp = Stamp {
            state_ms: self.now_ms,
            wall_ms: self.now_ms,
        };
        let applied = self.machine.apply(self.index, Command { stamp, kind });
        self.mind.applied(&self.machine, &applied, self.now_ms);
        if let Err(broken) = self.mind.check(&self.machine) {
            panic!("{}: {}", broken.law, broken.text);
        }
        applied.outcome
    }

    /// An engine's process begins, or begins anew: what the old one held is in doubt.
    fn register(&mut self, at: usize) {
        let (member, capacity) = self.engines[at];
        self.apply(CommandKind::RegisterEngine(RegisterEngine {
            member,
            host: format!("h{member}").into(),
            address: "".into(),
            capacity,
            offers: kinds()
                .iter()
                .map(|kind| kind.name.as_str().into())
                .collect(),
            labels: Vec::new(),
            follows: None,
        }));
    }

    /// A stack of so many resources. `chain`: each of a run of so many requires the one before.
    fn declare(&mut self, count: u64, type_of: impl Fn(u64) -> &'static str, chain: u64) {
        let resource = |place: u64| {
            let type_name = type_of(place);
            let body = Bytes::from(place.to_string());
            let text = Bytes::from_static(b"{}");
            let before = (!place.is_multiple_of(chain)).then(|| format!("r{}", place - 1).into());
            SetResource {
                name: format!("r{place}").into(),
                definition: Some(Definition {
                    digest: definition_digest(type_name, &body),
                    type_name: type_name.into(),
                    body,
                    references: Vec::new(),
                    depends_on: before.into_iter().collect(),
                    policy: Default::default(),
                    traits: TypeTraits {
                        can_look: true,
                        derived_id: type_name == INLINE,
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
        let outcome = self.apply(CommandKind::ChangeStack(ChangeStack {
            request: RequestId(request),
            namespace: "default".into(),
            name: format!("s{}", self.stacks.len()).into(),
            change: Change::Create { difference },
        }));
        match outcome {
            Outcome::Stack(answer) => self.stacks.push(answer.stack),
            other => panic!("{other:?}"),
        }
    }

    /// Stacks with work of a type that is ready and not on its way.
    fn wanting(&self, type_name: &str) -> BTreeSet<StackId> {
        let under_way: BTreeSet<Work> = self.pending.iter().flatten().map(work_of).collect();
        let wants = |stack: &StackId| {
            let mut ready = self.machine.ready_in(*stack, self.now_ms);
            ready.any(|work| {
                let view = self.machine.work(work);
                !under_way.contains(&work) && view.is_some_and(|view| *view.type_name == *type_name)
            })
        };
        let ready = self.machine.ready_stacks(.., self.now_ms);
        ready.filter(wants).collect()
    }

    /// The stacks that a batch gives something of a type to. What follows in a chunk is no work by itself yet.
    fn given(&self, items: &[AssignItem], type_name: &str) -> BTreeSet<StackId> {
        let views = items
            .iter()
            .filter_map(|item| self.machine.work(work_of(item)));
        views
            .filter(|view| *view.type_name == *type_name)
            .map(|view| view.stack)
            .collect()
    }

    fn decide(&mut self) -> bool {
        let wanting = TURNS.map(|type_name| (type_name, self.wanting(type_name)));
        let items = self.mind.decide(&self.machine, self.now_ms);
        for (type_name, wanting) in wanting {
            let given = self.given(&items, type_name);
            for stack in &self.stacks {
                let rests = self
                    .rests
                    .get(stack)
                    .is_some_and(|until| *until > self.now_ms);
                let passed_over = wanting.contains(stack) && !given.contains(stack) && !rests;
                let wait = self.waits.entry((*stack, type_name)).or_default();
                *wait = match passed_over {
                    true => *wait + u64::from(!given.is_empty()),
                    false => 0,
                };
                self.longest_wait = self.longest_wait.max(*wait);
                let most = ROUNDS * self.stacks.len() as u64;
                assert!(
                    *wait <= most,
                    "{stack} waits for its {type_name}s while others were given some {wait} times"
                );
            }
        }
        if items.is_empty() {
            return false;
        }
        self.pending.push_back(items);
        true
    }

    fn commit(&mut self) {
        let Some(items) = self.pending.pop_front() else {
            return;
        };
        let Outcome::Assigned(answers) = self.apply(CommandKind::Assign {
            items: items.clone(),
        }) else {
            panic!("an assign is answered item by item");
        };
        for (item, answer) in items.iter().zip(&answers) {
            let view = self.machine.work(work_of(item));
            if let (Err(_), Some(view)) = (answer, view) {
                self.rests.insert(view.stack, self.now_ms + REST_MS);
            }
        }
        self.mind.decided(&self.machine, answers, self.now_ms);
    }

    fn elect(&mut self, dice: &mut Dice) {
        let pending = std::mem::take(&mut self.pending);
        let kept = dice.below(pending.len() as u64 + 1) as usize;
        for items in pending.into_iter().take(kept) {
            self.apply(CommandKind::Assign { items });
        }
        self.mind.elected(&self.machine);
        // Whose turn it is, the new one does not know.
        self.waits.clear();
    }

    /// What an engine has come to: everything but what follows in a chunk.
    fn running(&self, engine: EngineRef) -> Vec<AssignmentView> {
        let mut first: BTreeMap<(Token, u32), AssignmentView> = BTreeMap::new();
        let mut running = Vec::new();
        for assignment in self.machine.assignments_of(engine) {
            let Some((chunk, place)) = assignment.chunk else {
                running.push(assignment);
                continue;
            };
            let walk = first
                .entry((assignment.token, chunk))
                .or_insert_with(|| assignment.clone());
            if walk.chunk.is_some_and(|(_, earlier)| place < earlier) {
                *walk = assignment;
            }
        }
        running.extend(first.into_values());
        running
    }

    /// Engines go on; what has ended is reported.
    fn work(&mut self, dice: &mut Dice) {
        let engines = self.machine.engines();
        let running = engines.flat_map(|found| self.running(found.engine));
        let running: Vec<AssignmentView> = running.collect();
        let mut items = Vec::new();
        for assignment in running {
            let takes_ms = match &*assignment.type_name {
                INLINE => 0,
                _ => dice.within(1, 40),
            };
            let key = (assignment.instance, assignment.token);
            let end_ms = *self.ends.entry(key).or_insert(self.now_ms + takes_ms);
            if end_ms <= self.now_ms {
                let report = report(&assignment, dice);
                if matches!(report.result, ActionResult::Declined { .. }) {
                    let until_ms = self.now_ms + REST_MS;
                    self.rests.insert(assignment.stack, until_ms);
                }
                items.push(report);
            }
        }
        if !items.is_empty() {
            self.apply(CommandKind::Report { items });
        }
    }

    fn converged(&self) -> bool {
        let mut stacks = self.machine.stacks();
        self.pending.is_empty() && stacks.all(|stack| stack.status == Status::Converged)
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.below(200) {
            0 => self.elect(dice),
            1 => self.register(dice.below(self.engines.len() as u64) as usize),
            2..=40 => self.commit(),
            41..=100 => {
                if self.pending.len() < 3 {
                    self.decide();
                }
            }
            101..=150 => self.work(dice),
            _ => self.now_ms += dice.within(1, 20),
        }
    }
}

fn work_of(item: &AssignItem) -> Work {
    use anneal_statemachine::command::AssignWork;
    match item.work {
        AssignWork::Make { resource, .. } => Work::Make(resource),
        AssignWork::Look { instance } => Work::Look(instance),
        AssignWork::Delete { instance } => Work::Delete(instance),
    }
}

/// Mostly it went well.
fn report(assignment: &AssignmentView, dice: &mut Dice) -> ReportItem {
    let done = Done {
        physical_id: Some(format!("o{}", assignment.instance).into()),
        ..Done::default()
    };
    let result = match assignment.action {
        Action::Look => ActionResult::Looked(Looked::AsAimed(done)),
        _ if dice.percent(2) => ActionResult::Declined {
            reason: "not today".into(),
        },
        _ => ActionResult::Done(done),
    };
    ReportItem {
        instance: assignment.instance,
        token: assignment.token,
        engine: assignment.engine,
        result,
    }
}

/// One crowd; returns how many decisions passed anybody over, at most.
fn examine(seed: u64) -> u64 {
    let mut dice = Dice::new(seed);
    let dice = &mut dice;
    let mut crowd = Crowd::new(dice);
    let chain = dice.pick(&[1, 1, 5, 80]).copied().unwrap_or(1);
    let mixed = dice.below(4);
    let type_of = move |place: u64| match mixed {
        0 => CALL,
        1 => INLINE,
        2 => [CALL, INLINE][place as usize % 2],
        _ => [CALL, LIMITED, INLINE][place as usize % 3],
    };
    crowd.declare(dice.within(150, 500), type_of, chain);
    let mut small = dice.within(1, 5);
    for _ in 0..MOST_STEPS {
        if small > 0 && dice.percent(2) {
            small -= 1;
            let type_name = dice.pick(&[CALL, CALL, INLINE]).copied().unwrap_or(CALL);
            let count = dice.within(1, 6);
            crowd.declare(count, move |_| type_name, dice.within(1, 3));
        }
        crowd.step(dice);
        if small == 0 && crowd.converged() {
            return crowd.longest_wait;
        }
    }
    let open: Vec<_> = crowd.machine.stacks().map(|stack| stack.counts).collect();
    panic!("seed {seed}: not through after {MOST_STEPS} steps: {open:?}");
}

#[test]
fn a_small_stack_beside_a_large_one_has_its_turn() {
    let seeds = std::env::var("ANNEAL_SIM_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut longest = 0;
    for seed in 0..seeds {
        let examined = std::panic::catch_unwind(|| examine(seed));
        let wait = examined.unwrap_or_else(|_| {
            panic!("seed {seed} breaks the law \"everybody has his turn, and all is carried out\"")
        });
        longest = longest.max(wait);
    }
    println!("{seeds} crowds; {longest} decisions at most gave to others alone");
}
