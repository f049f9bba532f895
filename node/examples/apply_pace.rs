//! How long single entries take to apply, by kind: the product's state machine in one thread, without Raft, network or disk, so
//! that nothing else is in the figures. A stack is made, updated as a whole and deleted, in the shares in which a leader does it.
//!
//! `cargo run --release -p anneal-node --example apply_pace -- --resources 1000000 --edges 3`

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anneal_statemachine::{
    StateMachine,
    command::{
        ActionResult, AssignItem, AssignWork, Blob, Change, ChangeStack, Command, CommandKind,
        CommitStaged, Definition, Difference, Done, Policy, RegisterEngine, ReportItem,
        SetResource, StagePart, Stamp, TypeTraits,
    },
    digest::{blob_digest, definition_digest},
    id::{EngineRef, RequestId, Revision, StackId},
    outcome::Outcome,
    view::Work,
};
use clap::Parser;

/// Items of a part, as the leader makes them.
const PART: usize = 500;
/// Actions given, and reported, in one entry.
const BATCH: usize = 256;
const ENGINE: EngineRef = EngineRef {
    member: 1,
    incarnation: 1,
};

#[derive(Parser)]
struct Cli {
    /// Resources of the stack
    #[arg(long, default_value_t = 100_000)]
    resources: usize,
    /// Earlier resources that each depends on
    #[arg(long, default_value_t = 0)]
    edges: usize,
    /// Protect each of them until the stack is deleted
    #[arg(long)]
    protect: bool,
}

/// What entries of one kind took.
#[derive(Default)]
struct Took {
    entries: u64,
    all: Duration,
    longest: Duration,
}

struct Run {
    machine: StateMachine,
    index: u64,
    took: BTreeMap<&'static str, Took>,
}

impl Run {
    fn apply(&mut self, kind: CommandKind) -> Outcome {
        self.index += 1;
        let name = kind.name();
        let command = Command {
            stamp: Stamp::default(),
            kind,
        };
        let began = Instant::now();
        let applied = self.machine.apply(self.index, command);
        let passed = began.elapsed();
        let took = self.took.entry(name).or_default();
        took.entries += 1;
        took.all += passed;
        took.longest = took.longest.max(passed);
        applied.outcome
    }

    /// Stages a whole declaration and takes it in.
    fn submit(&mut self, items: Vec<SetResource>, stack: Option<StackId>, change: Change) {
        let stage = RequestId(
            self.index
                .to_be_bytes()
                .repeat(2)
                .try_into()
                .expect("16 bytes"),
        );
        let mut parts = 0;
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            self.apply(CommandKind::StagePart(StagePart {
                stage,
                part: parts,
                stack,
                set: items.by_ref().take(PART).collect(),
                remove: Vec::new(),
            }));
            parts += 1;
        }
        let change = changed(stage, change);
        self.apply(CommandKind::CommitStaged(CommitStaged {
            stage,
            parts,
            change,
        }));
        self.advance();
    }

    fn advance(&mut self) {
        while self.machine.wants_advance() {
            self.apply(CommandKind::Advance);
        }
    }

    /// Gives what is ready and reports it done, until nothing is.
    fn converge(&mut self, stack: StackId) {
        loop {
            let items: Vec<AssignItem> = self
                .machine
                .ready_in(stack, 0)
                .take(BATCH)
                .filter_map(|work| self.item(work))
                .collect();
            if items.is_empty() {
                return;
            }
            let Outcome::Assigned(answers) = self.apply(CommandKind::Assign { items }) else {
                panic!("an assign is answered item by item");
            };
            let items = answers.into_iter().flatten().map(|given| ReportItem {
                instance: given.instance,
                token: given.token,
                engine: ENGINE,
                result: ActionResult::Done(Done {
                    physical_id: Some(given.instance.to_string().into()),
                    ..Done::default()
                }),
            });
            let items = items.collect();
            self.apply(CommandKind::Report { items });
            self.advance();
        }
    }

    fn item(&self, work: Work) -> Option<AssignItem> {
        let definition = self.machine.work(work)?.definition;
        Some(AssignItem {
            work: match work {
                Work::Make(resource) => AssignWork::Make {
                    resource,
                    definition,
                },
                Work::Look(instance) => AssignWork::Look { instance },
                Work::Delete(instance) => AssignWork::Delete { instance },
            },
            engine: ENGINE,
            not_after_ms: 1,
            chunk: None,
        })
    }

    fn print(&mut self, what: &str) {
        for (kind, took) in std::mem::take(&mut self.took) {
            println!(
                "| {what} | {kind} | {} | {:.2} | {:.2} | {:.2} |",
                took.entries,
                took.all.as_secs_f64(),
                took.all.as_secs_f64() * 1e3 / took.entries as f64,
                took.longest.as_secs_f64() * 1e3,
            );
        }
    }
}

fn changed(request: RequestId, change: Change) -> ChangeStack {
    ChangeStack {
        request,
        namespace: "default".into(),
        name: "large".into(),
        change,
    }
}

/// Every resource in dependency order, each upon earlier ones at random distances that are the same in every run.
fn declaration(cli: &Cli, value: u32, protect: bool) -> Vec<SetResource> {
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        (chance % limit as u64) as usize
    };
    let body = format!("value {value}");
    (0..cli.resources)
        .map(|n| {
            let edges = (0..cli.edges.min(n)).map(|_| format!("r{}", below(n)).into());
            let fragment = format!("r{n} has {body}");
            SetResource {
                name: format!("r{n}").into(),
                definition: Some(Definition {
                    digest: definition_digest("thing", body.as_bytes()),
                    type_name: "thing".into(),
                    body: body.clone().into(),
                    references: Vec::new(),
                    depends_on: edges.collect(),
                    policy: Policy {
                        protect,
                        ..Policy::default()
                    },
                    traits: TypeTraits::default(),
                }),
                fragment: Blob {
                    digest: blob_digest(fragment.as_bytes()),
                    bytes: fragment.into(),
                },
                parameters_used: Vec::new(),
            }
        })
        .collect()
}

fn main() {
    let cli = Cli::parse();
    let mut run = Run {
        machine: StateMachine::new(),
        index: 0,
        took: BTreeMap::new(),
    };
    run.apply(CommandKind::RegisterEngine(RegisterEngine {
        member: ENGINE.member,
        host: "a".into(),
        address: "127.0.0.1:7400".into(),
        capacity: 64,
        offers: vec!["thing".into()],
        labels: Vec::new(),
        follows: None,
    }));
    run.took.clear();
    println!(
        "| operation | entry | entries | all s | each ms | longest ms |\n|---|---|---|---|---|---|"
    );
    let difference = Difference::default();
    let created = declaration(&cli, 0, cli.protect);
    run.submit(created, None, Change::Create { difference });
    let stack = run
        .machine
        .stack_named("default", "large")
        .expect("it was made");
    run.converge(stack);
    run.print("create");
    let update = |base| Change::Update {
        base: Revision(base),
        difference: Difference::default(),
    };
    run.submit(declaration(&cli, 1, cli.protect), Some(stack), update(1));
    run.converge(stack);
    run.print("update of 100 %");
    if cli.protect {
        run.submit(declaration(&cli, 1, false), Some(stack), update(2));
        run.converge(stack);
        run.print("update that ends the protection");
    }
    let request = RequestId(*b"delete the stack");
    let delete = changed(request, Change::Delete { base: None });
    run.apply(CommandKind::ChangeStack(delete));
    run.advance();
    run.converge(stack);
    run.print("delete");
    assert!(
        run.machine.stack_named("default", "large").is_none(),
        "all of it is gone"
    );
}
