//! One history: the state machine, its log and rows, engines, users, a leader that assigns, and the world. Every
//! entry goes through [`Sim::propose`], where all laws are checked. It must not decide anything that the state
//! machine decides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use anneal_statemachine::command::{
    ActionResult, Command, CommandKind, DeletionPolicy, ObserveItem, ReportItem, Stamp,
};
use anneal_statemachine::id::{EngineRef, InstanceId, RequestId, StackId, Token};
use anneal_statemachine::outcome::{Applied, Outcome};
use anneal_statemachine::row::{Role, RowKey, RowValue, StagedRow, Unsettling};

use super::blueprint::{Author, definition};
use super::changes::check_entry;
use super::config::Config;
use super::coverage::Coverage;
use super::dice::Dice;
use super::engines::{Around, Engine, Faults, stands_on};
use super::incremental::{Machine, compare};
use super::laws::{Broken, Memory, broken, check_declared, check_flights, check_state};
use super::leads::{Lead, Leads};
use super::users::{Meant, Users};
use super::world::{Answer, Call, Verb, World};
use crate::reference::{Reference, Rows, write};

/// One history under way.
pub struct Sim {
    /// Its shape.
    pub config: Config,
    /// The state machine that answers.
    pub machine: Machine,
    /// Another one, loaded from rows now and then.
    twin: Option<Machine>,
    /// All rows as a store would have them.
    pub rows: Rc<Rows>,
    /// Every entry.
    pub log: Vec<(u64, Command)>,
    /// The last log index.
    pub index: u64,
    /// State time.
    pub now_ms: u64,
    /// Wall time of state time 0.
    wall_base_ms: u64,
    /// The outside.
    pub world: World,
    /// One engine a member.
    pub engines: Vec<Engine>,
    /// Reports on their way to the leader.
    pub letters: Vec<ReportItem>,
    /// Observations on their way.
    pub observations: Vec<ObserveItem>,
    /// Entries that an earlier leader has proposed, and that may be committed late.
    pub delayed: Vec<CommandKind>,
    /// Calls that nobody waits for any more.
    pub landing: Vec<Call>,
    /// The people.
    pub users: Users,
    /// How often things go wrong now.
    pub faults: Faults,
    /// What has happened.
    pub coverage: Coverage,
    /// The story so far, if one is told.
    pub story: Option<Vec<String>>,
    /// Instances whose objects were let go on purpose (`retain`).
    pub left_on_purpose: BTreeSet<u64>,
    /// How many rows the last entry wrote.
    pub wrote: usize,
    memory: Memory,
    /// Who assigns, if it is not the simulation's own leader.
    pub lead: Option<Lead>,
}

/// Wall time at which histories begin: any moment after 1970 will do.
const WALL_BASE_MS: u64 = 1_700_000_000_000;

impl Sim {
    /// An empty cluster of this shape.
    pub fn new(config: Config, lead: Option<Box<dyn Leads>>, tell: bool) -> Self {
        let engines = config
            .members
            .iter()
            .enumerate()
            .map(|(at, host)| Engine {
                member: at as u64 + 1,
                host: host.clone(),
                name: None,
                lease_until_ms: 0,
                frozen: false,
                replica: Rc::default(),
                running: BTreeMap::new(),
            })
            .collect();
        Sim {
            machine: Machine::new(),
            twin: Some(Machine::new()),
            rows: Rc::default(),
            log: Vec::new(),
            index: 0,
            now_ms: 0,
            wall_base_ms: WALL_BASE_MS,
            world: World::new(config.kinds.clone()),
            engines,
            letters: Vec::new(),
            observations: Vec::new(),
            delayed: Vec::new(),
            landing: Vec::new(),
            users: Users::default(),
            faults: config.faults,
            coverage: Coverage::default(),
            story: tell.then(Vec::new),
            left_on_purpose: BTreeSet::new(),
            wrote: 0,
            memory: Memory::default(),
            lead: lead.map(|mind| Lead {
                mind,
                pending: VecDeque::new(),
            }),
            config,
        }
    }

    /// Adds a line to the story.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    /// Wall time.
    pub fn wall_ms(&self) -> u64 {
        self.wall_base_ms + self.now_ms
    }

    /// The state as its rows tell it.
    pub fn reference(&self) -> Reference<'_> {
        Reference::new(&self.rows, self.now_ms)
    }

    /// The author of this history's blueprints.
    pub fn author<'a>(&self, config: &'a Config) -> Author<'a> {
        Author {
            kinds: &config.kinds,
            most_resources: config.most_resources,
            object_names: config.object_names,
            density: config.density,
        }
    }

    /// Commits one entry and checks everything that must hold.
    pub fn propose(&mut self, kind: CommandKind) -> Result<Outcome, Broken> {
        self.index += 1;
        let command = self.command(kind);
        self.log.push((self.index, command.clone()));
        let index = self.index;
        self.say(|| format!("{index}: {}", super::story::entry(&command.kind)));
        let applied = self.machine.apply(index, &command);
        self.say(|| format!("     => {}", super::story::outcome(&applied.outcome)));
        self.twin_agrees(&command, &applied)?;
        let old = Rc::clone(&self.rows);
        let mut rows = (*old).clone();
        write(&mut rows, &applied.rows);
        self.rows = Rc::new(rows);
        self.check(&old, &command, &applied)?;
        self.wrote = applied.rows.len();
        if let Some(lead) = &mut self.lead {
            lead.mind
                .applied(self.machine.state(), &applied, self.now_ms);
            lead.mind.check(self.machine.state())?;
        }
        Ok(applied.outcome)
    }

    /// A command of this moment.
    pub fn command(&self, kind: CommandKind) -> Command {
        let stamp = Stamp {
            state_ms: self.now_ms,
            wall_ms: self.wall_ms(),
        };
        Command { stamp, kind }
    }

    fn twin_agrees(&mut self, command: &Command, applied: &Applied) -> Result<(), Broken> {
        let Some(twin) = &mut self.twin else {
            return Ok(());
        };
        let same = twin.apply(self.index, command);
        if same == *applied {
            return Ok(());
        }
        let text = format!(
            "entry {}: running {applied:#?}\n reloaded {same:#?}",
            self.index
        );
        broken("a reloaded state answers alike", text)
    }

    fn check(&mut self, old: &Rows, command: &Command, applied: &Applied) -> Result<(), Broken> {
        let before = Reference::new(old, self.now_ms);
        let after = Reference::new(&self.rows, self.now_ms);
        check_entry(
            &mut self.memory,
            &before,
            command,
            self.index,
            applied,
            &after,
        )?;
        check_state(&self.rows, &after)?;
        check_flights(&after)?;
        compare(&self.machine, &after)?;
        // What is settled stands where the resource should stand: the world is told, for its judgement of order.
        let footings: Vec<_> = after
            .settled
            .iter()
            .filter(|(_, settled)| **settled)
            .filter_map(|(resource, _)| {
                Some((after.current.get(resource)?.0, stands_on(&after, *resource)))
            })
            .collect();
        // It may have settled within the entry, before a change that waited was taken in by the same.
        let meanwhile: Vec<_> = match &command.kind {
            CommandKind::Advance => after
                .instances
                .iter()
                .filter(|(id, row)| {
                    let name = &after.resources[&row.resource].name;
                    let was = before.instances.get(id);
                    !after.in_flight(**id)
                        && was.is_some_and(|was| {
                            was.fingerprint == row.fingerprint && was.assignment.is_none()
                        })
                        && self.taken_in(old, name).next().is_some()
                })
                .map(|(id, row)| (id.0, row.requires.iter().map(|below| below.0).collect()))
                .collect(),
            _ => Vec::new(),
        };
        let footings: Vec<_> = footings.into_iter().chain(meanwhile).collect();
        for object in self.world.objects.values_mut() {
            if let Some((_, built_on)) = footings
                .iter()
                .find(|(instance, _)| *instance == object.tag)
            {
                object.built_on = built_on.clone();
            }
        }
        let spread = after.stacks.iter().filter_map(|(id, row)| {
            let was = before.stacks.get(id)?;
            Some((was, row))
        });
        for (was, row) in spread {
            if !row.telling.is_empty() {
                self.coverage.note("a cone waits to be told");
            }
            if !row.unsettling.is_empty() {
                self.coverage.note("a cone waits to hear");
            }
            if row.unsettling.iter().any(|rest| rest.through.0 < u64::MAX) {
                self.coverage.note("what was half told is settled no more");
            }
            let goes_on =
                |rest: &Unsettling| row.unsettling.iter().any(|r| r.resource == rest.resource);
            if was.unsettling.iter().any(goes_on) && !matches!(command.kind, CommandKind::Advance) {
                self.coverage
                    .note("something happens while a cone waits to hear");
            }
        }
        if !after.forgetting.is_empty() {
            self.coverage.note("a host is being forgotten");
        }
        if after.forgotten_past().next().is_some() {
            self.coverage.note("history is being forgotten");
        }
        self.note_exceptions(old);
        if let Some(story) = &mut self.story {
            super::story::changes(story, old, &self.rows);
        }
        match self.world.accusations.first() {
            None => Ok(()),
            Some(wrong) => broken("the world accuses", wrong.clone()),
        }
    }

    /// What the world must know to judge fairly: objects that were let go on purpose, and deletions that may come
    /// before what stands on them.
    fn note_exceptions(&mut self, old: &Rows) {
        let after = Reference::new(&self.rows, self.now_ms);
        for (id, row) in &after.instances {
            if row.traits.derived_id {
                self.world.excuse(id.0);
            }
            let first = matches!(
                row.role,
                Role::Deposed {
                    before_successor: true,
                    ..
                }
            );
            // What stood on it when its deletion began stands on it no longer, whatever is wanted since.
            if first || after.makes_way(*id) {
                self.world.may_go_first.insert(id.0);
            } else if row.assignment.is_none() && !row.delete_begun {
                self.world.may_go_first.remove(&id.0);
            }
        }
        let before = Reference::new(old, self.now_ms);
        for (id, row) in &before.instances {
            if !self.rows.contains_key(&RowKey::Instance(*id)) {
                self.world.let_go(row.origin.0, id.0);
                let after = Reference::new(&self.rows, self.now_ms);
                if before.retained(row.resource)
                    || self.retained_meanwhile(old, &before.resources[&row.resource].name)
                    || (after.resources.contains_key(&row.resource) && after.retained(row.resource))
                {
                    self.left_on_purpose.insert(row.origin.0);
                }
            }
        }
    }

    /// A staged change that this entry took in, perhaps with others, said that what is called so is retained.
    fn retained_meanwhile(&self, old: &Rows, name: &str) -> bool {
        self.taken_in(old, name).any(|staged| {
            let desired = staged.desired.as_ref();
            let policy = desired.and_then(|desired| desired.policy.as_ref());
            policy.is_some_and(|policy| policy.deletion == DeletionPolicy::Retain)
        })
    }

    /// What staged changes said of a name, as far as this entry has taken them in.
    fn taken_in<'o>(&'o self, old: &'o Rows, name: &'o str) -> impl Iterator<Item = &'o StagedRow> {
        let done = |rows: &Rows, stage: RequestId| match rows.get(&RowKey::Stage(stage)) {
            Some(RowValue::Stage(row)) => row.done,
            _ => u32::MAX,
        };
        let parts = old
            .iter()
            .filter_map(move |(key, value)| match (key, value) {
                (RowKey::Staged(stage, first), RowValue::Staged(items)) => {
                    let new = done(old, *stage)..done(&self.rows, *stage);
                    let items = (*first..).zip(items);
                    Some(items.filter(move |(position, _)| new.contains(position)))
                }
                _ => None,
            });
        let items = parts.flatten().map(|(_, item)| item);
        items.filter(move |item| *item.name == *name)
    }

    /// Replaces the twin by one that is loaded from the rows.
    pub fn reload_twin(&mut self) -> Result<(), Broken> {
        self.coverage.note("a state is loaded from rows");
        self.say(|| "(a twin is loaded from the rows)".into());
        let twin = Machine::load(&self.rows)?;
        compare(&twin, &self.reference())?;
        self.twin = Some(twin);
        Ok(())
    }

    /// Plays the whole log into a fresh state machine: the rows must come out the same.
    pub fn replay(&self) -> Result<(), Broken> {
        let mut machine = Machine::new();
        let mut rows = Rows::new();
        for (index, command) in &self.log {
            write(&mut rows, &machine.apply(*index, command).rows);
        }
        if rows == *self.rows {
            return Ok(());
        }
        broken("the whole log gives the same rows", "a replay differs")
    }

    /// Whether each stack that has taken everything in desires what was declared.
    pub fn check_declared(&self) -> Result<(), Broken> {
        let now = self.reference();
        for (id, row) in &now.stacks {
            if crate::reference::takes_in(row) || !row.named {
                continue;
            }
            let Some(blueprint) = self.users.archive.get(&(*id, row.revision)) else {
                continue;
            };
            let declared = blueprint.iter().map(|(name, declared)| {
                let digest = definition(declared, &self.config.kinds).digest;
                (name.as_str().into(), (!declared.disabled).then_some(digest))
            });
            check_declared(&now, *id, &declared.collect())?;
        }
        Ok(())
    }

    /// Proposes a user's request and files what came of it.
    pub fn ask(
        &mut self,
        entries: Vec<CommandKind>,
        meant: &Meant,
    ) -> Result<Option<StackId>, Broken> {
        let mut stack = None;
        for kind in entries {
            let outcome = self.propose(kind.clone())?;
            if let Outcome::Stack(answer) = &outcome {
                self.users.file(*answer, meant);
                stack = Some(answer.stack);
            }
            self.coverage.note_outcome(&outcome);
            let wall_ms = self.wall_ms();
            self.users.sent.push(super::users::Sent {
                kind,
                outcome,
                wall_ms,
            });
        }
        self.check_declared()?;
        Ok(stack)
    }

    /// Everything that an engine acts upon, and the engine. Unless it is `stale`, its replica catches up first.
    pub fn with_engine<T>(
        &mut self,
        at: usize,
        stale: bool,
        act: impl FnOnce(&mut Engine, &mut Around, &Reference) -> T,
    ) -> T {
        if !stale {
            self.engines[at].replica = Rc::clone(&self.rows);
        }
        let replica = Rc::clone(&self.engines[at].replica);
        let reference = Reference::new(&replica, self.now_ms);
        let mut around = Around {
            now_ms: self.now_ms,
            world: &mut self.world,
            landing: &mut self.landing,
            rows: &replica,
            faults: self.faults,
            coverage: &mut self.coverage,
        };
        act(&mut self.engines[at], &mut around, &reference)
    }

    /// Lets time pass.
    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// A late call lands, or does not.
    pub fn land(&mut self, dice: &mut Dice) {
        if self.landing.is_empty() {
            return;
        }
        let call = self
            .landing
            .remove(dice.below(self.landing.len() as u64) as usize);
        let mut call = call;
        if self.now_ms > call.not_after_ms {
            // Only a create leaves something that a late word can still make known.
            let powers = &self.world.kinds[call.kind];
            let possible = call.verb == Verb::Create && !powers.fences && !powers.names;
            if !possible || !dice.percent(self.faults.overrun) {
                return;
            }
            self.coverage.note("a call outlives its time");
            self.world.overrun(call.instance);
            call.not_after_ms = self.now_ms;
        }
        let told = call.not_after_ms == self.now_ms || dice.percent(60);
        let answer = self.world.perform(&call, self.now_ms);
        self.coverage.note("a late effect lands");
        self.say(|| {
            format!(
                "  world: late {:?} of i{}: {answer:?}",
                call.verb, call.instance
            )
        });
        if let (Answer::Present(id, _), Verb::Create, true) = (&answer, call.verb, told) {
            self.letters.push(ReportItem {
                instance: InstanceId(call.instance),
                token: Token(call.token),
                engine: EngineRef {
                    member: call.by.0,
                    incarnation: call.by.1,
                },
                result: ActionResult::LatePhysicalId {
                    physical_id: id.as_str().into(),
                },
            });
        }
    }
}
