//! What is picked, in which order, for whom: small states, made by commands.

use anneal_provider::{Capabilities, Companion, Registry};
use anneal_statemachine::command::{
    Blob, Change, ChangeStack, Command, CommandKind, Definition, Difference, RegisterEngine,
    SetResource, StackOptions, Stamp, TypeTraits,
};
use anneal_statemachine::digest::{blob_digest, definition_digest};
use anneal_statemachine::id::RequestId;
use anneal_statemachine::outcome::Outcome;

use super::*;

const INLINE: &str = "OS::Heat::None";
const CALL: &str = "Anneal::File";
const LIMITED: &str = "Anneal::Http";

struct Bench {
    machine: StateMachine,
    index: u64,
    now_ms: u64,
    registry: Registry,
    selector: Selector,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::built_in(&Companion::this_program());
        let derived = |name: &str| {
            let capabilities: &Capabilities =
                &registry.schema(name).expect("built in").capabilities;
            capabilities.derived_id
        };
        assert!(derived(INLINE) && !derived(CALL));
        Self {
            machine: StateMachine::new(),
            index: 0,
            now_ms: 0,
            selector: Selector::new(&registry),
            registry,
        }
    }

    /// One with so many engines of 64.
    fn of_engines(count: u64) -> Self {
        let mut bench = Self::new();
        for member in 1..=count {
            bench.engine(member, 64);
        }
        bench
    }

    /// How many actions of a type may begin in a second.
    fn limit_of(&self, type_name: &str) -> Option<usize> {
        let limits = self.registry.schema(type_name)?.limits;
        usize::try_from(limits.max_calls_per_second?).ok()
    }

    fn apply(&mut self, kind: CommandKind) -> Outcome {
        self.index += 1;
        self.now_ms += 1;
        let stamp = Stamp {
            state_ms: self.now_ms,
            wall_ms: self.now_ms,
        };
        self.machine
            .apply(self.index, Command { stamp, kind })
            .outcome
    }

    fn engine(&mut self, member: u64, capacity: u32) {
        self.apply(CommandKind::RegisterEngine(RegisterEngine {
            member,
            host: format!("host-{member}").into(),
            address: "".into(),
            capacity,
            offers: vec![CALL.into(), LIMITED.into(), INLINE.into()],
            labels: Vec::new(),
            follows: None,
        }));
    }

    /// A stack of resources `r0`, `r1`, …, each of which requires the one before if it is a chain.
    fn stack(
        &mut self,
        name: &str,
        count: usize,
        type_name: &str,
        chain: bool,
        parallelism: Option<u32>,
    ) -> StackId {
        let resource = |place: usize| {
            let body = bytes::Bytes::from(format!("{name} {place}"));
            let text = bytes::Bytes::from_static(b"{}");
            let before = (chain && place > 0).then(|| format!("r{}", place - 1).into());
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
                        by_id_only: type_name == LIMITED,
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
            options: Some(StackOptions {
                parallelism,
                ..StackOptions::default()
            }),
            ..Difference::default()
        };
        let mut request = [0; 16];
        request[8..].copy_from_slice(&self.index.to_be_bytes());
        let outcome = self.apply(CommandKind::ChangeStack(ChangeStack {
            request: RequestId(request),
            namespace: "default".into(),
            name: name.into(),
            change: Change::Create { difference },
        }));
        match outcome {
            Outcome::Stack(answer) => answer.stack,
            other => panic!("{other:?}"),
        }
    }

    fn decide(&mut self) -> Vec<Picked> {
        let candidates: Vec<Candidate> = self
            .machine
            .engines()
            .map(|found| Candidate {
                engine: found.engine,
                row: found.row.clone(),
            })
            .collect();
        self.selector.decide(&Moment {
            machine: &self.machine,
            now_ms: self.now_ms,
            now: Instant::now(),
            candidates: Candidates::new(&candidates),
            aside: &|_| false,
        })
    }

    /// Proposes a batch and tells the selector what became of it; returns how many were given.
    fn propose(&mut self, picked: &[Picked]) -> usize {
        let items = picked.iter().map(|picked| picked.item.clone()).collect();
        let Outcome::Assigned(answers) = self.apply(CommandKind::Assign { items }) else {
            panic!("an assignment has answers");
        };
        for (picked, answer) in picked.iter().zip(&answers) {
            self.selector.decided(picked, answer.is_ok());
        }
        answers.iter().filter(|answer| answer.is_ok()).count()
    }
}

fn of(picked: &[Picked], stack: StackId) -> usize {
    picked.iter().filter(|picked| picked.stack == stack).count()
}

#[test]
fn a_small_stack_is_in_the_first_batch_however_large_the_other_is() {
    let mut bench = Bench::of_engines(4);
    let large = bench.stack("large", 2_000, INLINE, false, None);
    let small = bench.stack("small", 10, INLINE, false, None);
    let picked = bench.decide();
    assert_eq!(of(&picked, small), 10);
    assert_eq!(of(&picked, large), 64, "of 4 times 64, a quarter");
    assert_eq!(
        bench.propose(&picked),
        picked.len(),
        "all of it is admissible"
    );
}

#[test]
fn two_large_ones_have_all_that_engines_carry_between_them() {
    let mut bench = Bench::of_engines(4);
    let one = bench.stack("one", 2_000, INLINE, false, None);
    let other = bench.stack("other", 2_000, INLINE, false, None);
    let picked = bench.decide();
    assert_eq!(picked.len(), MAX_BATCH_ITEMS);
    assert_eq!(of(&picked, one), of(&picked, other));
}

#[test]
fn calls_are_not_held_back_for_company() {
    let mut bench = Bench::of_engines(4);
    let large = bench.stack("large", 2_000, CALL, false, None);
    let small = bench.stack("small", 10, INLINE, false, None);
    let picked = bench.decide();
    assert_eq!(picked.len(), MAX_BATCH_ITEMS);
    assert_eq!(of(&picked, small), 10);
    assert_eq!(of(&picked, large), MAX_BATCH_ITEMS - 10);
}

#[test]
fn nothing_is_picked_twice_while_its_proposal_is_under_way() {
    let mut bench = Bench::of_engines(8);
    bench.stack("one", 400, INLINE, false, None);
    let first = bench.decide();
    let second = bench.decide();
    let works: BTreeSet<Work> = first
        .iter()
        .chain(&second)
        .map(|picked| picked.work)
        .collect();
    assert_eq!(works.len(), 400);
    assert_eq!(first.len() + second.len(), 400);
    assert!(bench.decide().is_empty());
    for picked in &second {
        bench.selector.decided(picked, false);
    }
    assert_eq!(
        bench.decide().len(),
        second.len(),
        "what came to nothing is picked again"
    );
}

#[test]
fn calls_keep_to_the_capacity_of_engines_and_spread() {
    let mut bench = Bench::new();
    bench.engine(1, 4);
    bench.engine(2, 8);
    bench.stack("files", 100, CALL, false, None);
    let picked = bench.decide();
    let on = |member| {
        picked
            .iter()
            .filter(|picked| picked.item.engine.member == member)
            .count()
    };
    assert_eq!((on(1), on(2)), (4, 8));
    assert!(bench.decide().is_empty(), "all are full");
}

#[test]
fn a_stack_keeps_to_its_parallelism() {
    let mut bench = Bench::new();
    bench.engine(1, 64);
    bench.stack("narrow", 50, CALL, false, Some(3));
    let picked = bench.decide();
    assert_eq!(picked.len(), 3);
    assert!(bench.decide().is_empty(), "proposals count too");
    assert_eq!(bench.propose(&picked), 3);
    assert!(bench.decide().is_empty(), "and so does what runs");
}

#[test]
fn a_chain_travels_in_bounded_chunks_on_one_engine_and_costs_one_call() {
    let mut bench = Bench::new();
    bench.engine(1, 2);
    bench.stack("chain", 100, CALL, true, None);
    let picked = bench.decide();
    assert_eq!(picked.len(), MAX_CHUNK_STEPS);
    assert!(picked.iter().all(|picked| picked.item.chunk == Some(1)));
    assert_eq!(picked.iter().filter(|picked| picked.bears).count(), 1);
    assert_eq!(
        bench.propose(&picked),
        MAX_CHUNK_STEPS,
        "the state machine agrees"
    );
}

#[test]
fn what_needs_a_person_when_its_create_is_lost_does_not_travel() {
    let mut bench = Bench::new();
    bench.engine(1, 2);
    bench.stack("chain", 100, LIMITED, true, None);
    let picked = bench.decide();
    assert_eq!(picked.len(), 1);
    assert_eq!(picked[0].item.chunk, None);
}

#[test]
fn an_engine_that_does_not_offer_the_type_gets_nothing() {
    let mut bench = Bench::new();
    bench.engine(1, 64);
    bench.stack("other", 3, "Other::Type", false, None);
    assert!(bench.decide().is_empty());
}

#[test]
fn work_behind_much_that_nobody_can_take_is_still_found() {
    let mut bench = Bench::new();
    bench.engine(1, 1);
    bench.stack("other", 3 * MAX_PASSED_OVER, "Other::Type", false, None);
    assert!(bench.decide().is_empty());
    assert!(bench.selector.was_cut_short(), "there may be more behind");
}

#[test]
fn what_no_engine_has_room_for_is_not_looked_through() {
    let mut bench = Bench::new();
    bench.engine(1, 1);
    bench.stack("calls", 3 * MAX_PASSED_OVER, CALL, false, None);
    assert_eq!(bench.decide().len(), 1, "one fits");
    assert!(bench.decide().is_empty());
    assert!(!bench.selector.was_cut_short());
}

#[test]
fn a_type_with_a_rate_waits_for_it_and_others_do_not() {
    let mut bench = Bench::new();
    bench.engine(1, 2_000);
    let limits = bench.limit_of(LIMITED).expect("it has a rate");
    let busy = bench.stack("busy", 3 * limits, LIMITED, false, None);
    let other = bench.stack("other", 10, CALL, false, None);
    let mut begun = (0, 0);
    loop {
        let picked = bench.decide();
        if picked.is_empty() {
            break;
        }
        begun = (begun.0 + of(&picked, busy), begun.1 + of(&picked, other));
        assert_eq!(bench.propose(&picked), picked.len());
        assert!(begun.0 <= limits + 1, "{begun:?} in some milliseconds");
    }
    assert!(begun.0 >= limits && begun.1 == 10, "{begun:?}");
    assert!(bench.selector.rate_wait_ms().is_some());
    // Half a second later half as many may follow.
    bench.now_ms += 500;
    let mut later = 0;
    loop {
        let picked = bench.decide();
        if picked.is_empty() {
            break;
        }
        later += picked.len();
        bench.propose(&picked);
    }
    assert!((limits / 2..limits / 2 + 10).contains(&later), "{later}");
}

#[test]
fn a_decision_ends_however_many_stacks_have_work_that_nobody_can_take() {
    let mut bench = Bench::new();
    bench.engine(1, 1);
    let stacks = MAX_PASSED_OVER_IN_ALL / MAX_PASSED_OVER + 2;
    for stack in 0..stacks {
        let name = format!("files {stack}");
        bench.stack(&name, MAX_PASSED_OVER + 1, CALL, false, None);
    }
    bench.decide();
    let small = bench.stack("small", 3, INLINE, false, None);
    let found = (0..stacks).any(|_| of(&bench.decide(), small) == 3);
    assert!(found, "the next decisions come to every stack");
}
