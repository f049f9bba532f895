//! The steps of a history before the faults are off. Each is a kind and a seed of its own, so that any of them can be
//! left out and the others still mean something: that is how failing histories are shrunk.

use anneal_statemachine::command::{
    Change, CommandKind, ObserveItem, RegisterEngine, Seen, Settings,
};
use anneal_statemachine::id::{EngineRef, InstanceId, Revision, StackId};
use anneal_statemachine::outcome::{Outcome, Rejection};
use anneal_statemachine::row::{Observed, RowKey, RowValue};

use super::blueprint::evaluate;
use super::config::{Config, LEASE_MS, MARGIN_MS};
use super::dice::Dice;
use super::laws::{Broken, broken};
use super::sim::Sim;
use super::users::{Meant, stack_named};
use crate::reference::Reference;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// Somebody declares a stack, anew or otherwise.
    Declare,
    /// Somebody asks something else of a stack.
    Ask,
    /// Somebody sends an old request again.
    Resend,
    /// Somebody decides or retries.
    Intervene,
    /// The leader assigns.
    Dispatch,
    /// The leader carries on queues, fires deadlines, rolls back.
    Tend,
    /// An engine goes on with something.
    Engine,
    /// Reports arrive.
    Post,
    /// Time passes, heartbeats are answered.
    Time,
    /// An engine is lost, frozen, drained, or comes (back).
    EngineTrouble,
    /// Leases that are over are found to be.
    Expire,
    /// Somebody changes the world by hand.
    Tamper,
    /// Background observation.
    Observe,
    /// A late call lands.
    Land,
    /// An earlier leader's entry is committed.
    Delayed,
    /// The state is loaded from rows.
    Reload,
    /// Housekeeping.
    House,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// Its own chance.
    pub seed: u64,
}

/// The steps of a seed.
pub fn plan(config: &Config, seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let storm = config.storm;
    let weights = [
        (StepKind::Declare, 6),
        (StepKind::Ask, 3),
        (StepKind::Resend, 1),
        (StepKind::Intervene, 3),
        (StepKind::Dispatch, 30),
        (StepKind::Tend, 8),
        (StepKind::Engine, 70),
        (StepKind::Post, 30),
        (StepKind::Time, 15),
        (StepKind::EngineTrouble, 2 + storm / 4),
        (StepKind::Expire, 4 + storm / 4),
        (StepKind::Tamper, storm / 10),
        (StepKind::Observe, 4),
        (StepKind::Land, 4),
        (StepKind::Delayed, 3),
        (StepKind::Reload, 2),
        (StepKind::House, 2),
    ];
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut steps = Vec::new();
    for _ in 0..config.steps {
        let mut at = dice.below(sum);
        let kind = weights
            .iter()
            .find(|(_, weight)| {
                let here = at < *weight;
                at = at.saturating_sub(*weight);
                here
            })
            .expect("within the sum")
            .0;
        steps.push(Step {
            kind,
            seed: dice.next(),
        });
    }
    steps
}

impl Sim {
    /// What every history begins with: engines that register, small limits, a first stack.
    pub fn open(&mut self) -> Result<(), Broken> {
        let request = self.next_request();
        let settings = Settings {
            request_window_ms: 60_000,
            stage_lifetime_ms: 5_000,
            retry_base_ms: 50,
            retry_max_ms: 1_000,
            transient_attempts: 3,
            quota_attempts: 4,
            permanent_attempts: 1,
            conflict_attempts: 2,
            items_per_entry: self.config.per_entry,
            tells_per_entry: self.config.per_entry,
            ..Settings::default()
        };
        self.propose(CommandKind::ClusterSettings { request, settings })?;
        for at in 0..self.engines.len() {
            self.register(at)?;
        }
        Ok(())
    }

    fn next_request(&mut self) -> anneal_statemachine::id::RequestId {
        let wall_ms = self.wall_ms();
        self.users.request(wall_ms)
    }

    /// Carries out one step.
    pub fn step(&mut self, step: Step) -> Result<(), Broken> {
        let mut dice = Dice::new(step.seed);
        let dice = &mut dice;
        match step.kind {
            StepKind::Declare => self.declare(dice),
            StepKind::Ask => self.ask_something(dice),
            StepKind::Resend => self.resend(dice),
            StepKind::Intervene => self.intervene(dice),
            StepKind::Dispatch => {
                for _ in 0..dice.within(1, 3) {
                    self.dispatch(dice, false)?;
                }
                Ok(())
            }
            StepKind::Tend => self.tend(dice),
            StepKind::Engine => self.engine_step(dice),
            StepKind::Post => self.deliver(dice),
            StepKind::Time => self.pass_time(dice),
            StepKind::EngineTrouble => self.engine_trouble(dice),
            StepKind::Expire => self.expire(dice),
            StepKind::Tamper => self.tamper(dice),
            StepKind::Observe => self.observe(dice),
            StepKind::Land => {
                self.land(dice);
                Ok(())
            }
            StepKind::Delayed => self.commit_delayed(dice),
            StepKind::Reload => self.reload_twin(),
            StepKind::House => self.keep_house(dice),
        }
    }

    /// Registers an engine's process anew.
    pub fn register(&mut self, at: usize) -> Result<(), Broken> {
        let engine = &self.engines[at];
        let register = RegisterEngine {
            member: engine.member,
            host: engine.host.as_str().into(),
            address: "127.0.0.1:7400".into(),
            capacity: 8,
            offers: self
                .config
                .kinds
                .iter()
                .map(|kind| kind.name.as_str().into())
                .collect(),
            labels: Vec::new(),
        };
        let outcome = self.propose(CommandKind::RegisterEngine(register))?;
        let Outcome::Registered(name) = outcome else {
            return broken(
                "registering is answered by an incarnation",
                format!("{outcome:?}"),
            );
        };
        let now_ms = self.now_ms;
        let engine = &mut self.engines[at];
        engine.running.clear();
        engine.replica = std::rc::Rc::clone(&self.rows);
        engine.name = Some(name);
        engine.frozen = false;
        engine.lease_until_ms = now_ms + LEASE_MS;
        Ok(())
    }

    fn declare(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let name = format!("s{}", dice.below(self.config.stacks));
        let config = self.config.clone();
        let author = self.author(&config);
        let wall_ms = self.wall_ms();
        let mut users = std::mem::take(&mut self.users);
        let now = self.reference();
        let (entries, meant) = users.declare(&name, &author, &now, dice, wall_ms);
        let before = stack_named(&now, &name).map(|id| (id, now.stacks[&id].revision));
        let existing = before.map(|(id, _)| now.stacks[&id].deleting);
        self.users = users;
        if existing == Some(true) {
            self.coverage
                .note("a stack is wanted back while it is being deleted");
        }
        let staged = entries.len() > 1;
        let base = match entries.last() {
            Some(CommandKind::ChangeStack(change)) => base_of(&change.change),
            Some(CommandKind::CommitStaged(commit)) => base_of(&commit.change.change),
            _ => None,
        };
        self.ask(entries, &meant)?;
        let Some(sent) = self.users.sent.last() else {
            return Ok(());
        };
        if staged && matches!(sent.outcome, Outcome::Stack(_)) {
            self.coverage.note("a staged change is committed");
        }
        match (&sent.outcome, before) {
            (Outcome::Stack(answer), Some((id, revision))) if answer.stack == id => {
                if base.is_some_and(|base| base != revision) {
                    return broken(
                        "a moved base is refused",
                        format!("{base:?} at {revision}: {answer:?}"),
                    );
                }
                let expected = if answer.unchanged {
                    revision
                } else {
                    revision.next()
                };
                if answer.revision != expected {
                    return broken(
                        "one change, one revision",
                        format!("{answer:?} after {revision}"),
                    );
                }
            }
            (Outcome::Rejected(Rejection::BaseMoved { current }), Some((_, revision)))
                if *current != revision || base == Some(revision) =>
            {
                return broken(
                    "only a moved base is refused",
                    format!("{base:?} at {revision}"),
                );
            }
            (Outcome::Rejected(Rejection::BaseMoved { .. }), _) => {}
            (Outcome::Rejected(reason), _) => {
                let known = matches!(
                    reason,
                    Rejection::StageIncomplete { .. } | Rejection::ResourceProtected { .. }
                );
                if !known {
                    return broken(
                        "a right declaration is taken",
                        format!("{meant:?}: {reason}"),
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn some_stack(&self, dice: &mut Dice) -> Option<StackId> {
        let now = self.reference();
        let all: Vec<StackId> = now
            .stacks
            .iter()
            .filter(|(_, row)| row.named)
            .map(|(id, _)| *id)
            .collect();
        dice.pick(&all).copied()
    }

    fn ask_something(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let Some(stack) = self.some_stack(dice) else {
            return Ok(());
        };
        let name = self.reference().stacks[&stack].name.to_string();
        let wall_ms = self.wall_ms();
        let (change, what, blueprint) = match dice.below(10) {
            0 | 1 => (
                Change::Delete,
                "a stack is deleted",
                Some(Default::default()),
            ),
            2 | 3 => (Change::Pause, "a stack is paused", None),
            4 | 5 => (Change::Resume, "a stack is resumed", None),
            6 => (Change::Cancel, "a stack is cancelled", None),
            _ => return self.roll_back_by_hand(stack, dice),
        };
        let entry = self.users.change(&name, change, wall_ms);
        if self
            .ask(
                vec![entry],
                &Meant {
                    stack: name,
                    blueprint,
                },
            )?
            .is_some()
        {
            self.coverage.note(what);
        }
        Ok(())
    }

    fn roll_back_by_hand(&mut self, stack: StackId, dice: &mut Dice) -> Result<(), Broken> {
        let mut users = std::mem::take(&mut self.users);
        let now = self.reference();
        let known: Vec<Revision> = users
            .archive
            .keys()
            .filter(|(id, _)| *id == stack)
            .map(|(_, revision)| *revision)
            .collect();
        let to = dice.pick(&known).copied();
        let to = to
            .filter(|to| now.has_past(stack, *to))
            .unwrap_or(now.stacks[&stack].settled_revision);
        let (entry, meant) =
            users.roll_back(stack, Some(to), &now, &self.config.kinds, self.wall_ms());
        self.users = users;
        if self.ask(vec![entry], &meant)?.is_some() {
            self.coverage.note("a stack is rolled back by hand");
        }
        Ok(())
    }

    /// The same request again gets the first answer and does nothing, if that was final.
    fn resend(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let Some(sent) = dice.pick(&self.users.sent).cloned() else {
            return Ok(());
        };
        let final_answer = !matches!(
            sent.outcome,
            Outcome::Staged { .. }
                | Outcome::Rejected(
                    Rejection::BaseMoved { .. }
                        | Rejection::StageIncomplete { .. }
                        | Rejection::RequestTooOld { .. }
                )
        );
        let fresh = self.wall_ms() < sent.wall_ms + 30_000;
        if !final_answer || !fresh {
            return Ok(());
        }
        let rows = std::rc::Rc::clone(&self.rows);
        let outcome = self.propose(sent.kind.clone())?;
        self.coverage.note("a request is sent again");
        if outcome != sent.outcome || rows != self.rows {
            return broken(
                "the same request gets the first answer",
                format!("{outcome:?}, not {:?}", sent.outcome),
            );
        }
        Ok(())
    }

    fn intervene(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let now = self.reference();
        let held: Vec<InstanceId> = now
            .instances
            .keys()
            .filter(|id| now.waits_for_person(**id) && !now.in_flight(**id))
            .copied()
            .collect();
        if let Some(instance) = dice.pick(&held).copied() {
            return self.resolve(instance);
        }
        let failed: Vec<_> = now
            .resources
            .iter()
            .filter(|(id, _)| {
                let subject = anneal_statemachine::id::Subject::Resource(**id);
                now.trouble(subject).is_some_and(|trouble| trouble.failed)
            })
            .map(|(_, row)| (row.stack, row.name.clone()))
            .collect();
        let Some((stack, resource)) = dice.pick(&failed).cloned() else {
            return Ok(());
        };
        let request = self.next_request();
        self.coverage.note("a failed resource is retried by hand");
        let outcome = self.propose(CommandKind::Retry {
            request,
            stack,
            resource,
        })?;
        match outcome {
            Outcome::Rejected(reason) => broken("a retry is taken", reason.to_string()),
            _ => Ok(()),
        }
    }

    /// A person looks, and says what there is, once no call can land any more.
    pub fn resolve(&mut self, instance: InstanceId) -> Result<(), Broken> {
        let now = self.reference();
        let row = now.instances[&instance];
        let origin = row.origin.0;
        let owner = now.resources[&row.resource];
        let (stack, resource) = (owner.stack, owner.name.clone());
        if self
            .landing
            .iter()
            .any(|call| call.instance == origin && call.not_after_ms >= self.now_ms)
        {
            return Ok(());
        }
        // Of what carries the tag, that which no other instance of this origin is known by.
        let known_otherwise = |physical: &anneal_statemachine::id::Text| {
            now.instances.iter().any(|(other, row)| {
                *other != instance
                    && row.origin.0 == origin
                    && row.physical_id.as_ref() == Some(physical)
            })
        };
        let physical_id = self
            .world
            .objects_of(origin)
            .map(|(_, o)| anneal_statemachine::id::Text::from(o.physical.as_str()))
            .find(|physical| !known_otherwise(physical));
        let request = self.next_request();
        self.coverage.note("a person resolves what is on hold");
        let kind = CommandKind::Resolve {
            request,
            stack,
            resource,
            instance: Some(instance),
            physical_id,
        };
        match self.propose(kind)? {
            Outcome::Rejected(reason) => {
                broken("a person's word is taken", format!("i{instance}: {reason}"))
            }
            _ => Ok(()),
        }
    }

    /// What the leader does besides assigning.
    pub fn tend(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        if self
            .reference()
            .stacks
            .values()
            .any(|row| crate::reference::takes_in(row))
        {
            self.coverage.note("a queue is carried on");
            self.propose(CommandKind::Advance)?;
        } else if dice.percent(10) {
            self.propose(CommandKind::Advance)?;
        }
        if let Outcome::Fired { count } = self.propose(CommandKind::FireDeadlines)?
            && count > 0
        {
            self.coverage.note("a deadline fires");
        }
        if dice.percent(10) {
            self.roll_back_undue(dice)?;
        }
        let now = self.reference();
        let due: Vec<StackId> = now
            .stacks
            .iter()
            .filter(|(_, row)| row.stop == Some(anneal_statemachine::row::Stop::RollbackDue))
            .map(|(id, _)| *id)
            .collect();
        for stack in due {
            self.roll_back_automatically(stack)?;
        }
        Ok(())
    }

    /// A leader that thinks a rollback due which is not (any more) is told so.
    fn roll_back_undue(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let Some(stack) = self.some_stack(dice) else {
            return Ok(());
        };
        let mut users = std::mem::take(&mut self.users);
        let now = self.reference();
        let wall_ms = self.wall_ms();
        let due = now.stacks[&stack].stop == Some(anneal_statemachine::row::Stop::RollbackDue);
        let (entry, _) = users.roll_back(stack, None, &now, &self.config.kinds, wall_ms);
        self.users = users;
        if due {
            return Ok(());
        }
        self.coverage.note("a rollback that is not due is refused");
        match self.propose(entry)? {
            Outcome::Rejected(_) => Ok(()),
            outcome => broken(
                "a rollback that is not due is refused",
                format!("{outcome:?}"),
            ),
        }
    }

    fn roll_back_automatically(&mut self, stack: StackId) -> Result<(), Broken> {
        let mut users = std::mem::take(&mut self.users);
        let now = self.reference();
        let (entry, meant) = users.roll_back(stack, None, &now, &self.config.kinds, self.wall_ms());
        self.users = users;
        let again = entry.clone();
        let taken = self.ask(vec![entry], &meant)?.is_some();
        if !taken {
            let outcome = &self.users.sent.last().expect("just sent").outcome;
            return broken(
                "a due rollback is taken",
                format!("stack {stack}: {outcome:?}"),
            );
        }
        self.coverage.note("a stack is rolled back by itself");
        // The same under another request, as another leader would propose it: it is taken once only.
        let CommandKind::ChangeStack(mut again) = again else {
            unreachable!("a rollback is a change")
        };
        again.request = self.next_request();
        match self.propose(CommandKind::ChangeStack(again))? {
            Outcome::Rejected(_) => Ok(()),
            outcome => broken(
                "an automatic rollback is taken once",
                format!("{outcome:?}"),
            ),
        }
    }

    fn engine_step(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let able: Vec<usize> = (0..self.engines.len())
            .filter(|at| self.engines[*at].name.is_some() && !self.engines[*at].frozen)
            .collect();
        let Some(at) = dice.pick(&able).copied() else {
            return Ok(());
        };
        for _ in 0..dice.within(1, 4) {
            self.move_engine(at, dice)?;
        }
        Ok(())
    }

    /// One engine compares with its rows and goes one step on with something.
    pub fn move_engine(&mut self, at: usize, dice: &mut Dice) -> Result<(), Broken> {
        if self.engines[at].name.is_none() || self.engines[at].frozen {
            return Ok(());
        }
        let stale = dice.percent(self.faults.stale);
        let result = self.with_engine(at, stale, |engine, around, reference| {
            engine.fetch(around.rows);
            let mut order: Vec<InstanceId> = engine.running.keys().copied().collect();
            order.sort_by_key(|id| engine.running[id].chunk);
            let chosen = dice.pick(&order).copied()?;
            Some(engine.step(chosen, around, reference, dice))
        });
        let Some(result) = result else { return Ok(()) };
        if let Some(line) = result.said {
            self.say(|| line);
        }
        self.letters.extend(result.report);
        match self.world.accusations.first() {
            None => Ok(()),
            Some(wrong) => broken("the world accuses", wrong.clone()),
        }
    }

    /// Some of the reports on their way arrive.
    pub fn deliver(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let mut items = Vec::new();
        for _ in 0..dice.within(1, 3) {
            if self.letters.is_empty() {
                break;
            }
            let at = dice.below(self.letters.len() as u64) as usize;
            let letter = self.letters[at].clone();
            if dice.percent(self.faults.post) {
                self.coverage.note("a report arrives twice");
            } else {
                self.letters.remove(at);
            }
            items.push(letter);
        }
        if items.is_empty() {
            return Ok(());
        }
        if let Outcome::Reported(judgements) = self.propose(CommandKind::Report { items })? {
            for judgement in judgements {
                use anneal_statemachine::outcome::Judgement;
                self.coverage.note(match judgement {
                    Judgement::Counts => "a report counts",
                    Judgement::Late => "a report is late",
                    Judgement::IdKept => "a late physical id is kept",
                    Judgement::UnknownInstance => "a report is about nothing known",
                });
            }
        }
        Ok(())
    }

    fn pass_time(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        self.wait(dice.within(1, 300));
        self.heartbeats(dice);
        // A supervisor starts again what has ended.
        for at in 0..self.engines.len() {
            if self.engines[at].name.is_none() && dice.percent(20) {
                self.register(at)?;
            }
        }
        Ok(())
    }

    /// Heartbeats of those that can are answered, unless their expiry is due.
    pub fn heartbeats(&mut self, dice: &mut Dice) {
        let now_ms = self.now_ms;
        for engine in &mut self.engines {
            let in_time = now_ms <= engine.lease_until_ms + MARGIN_MS;
            if engine.name.is_some() && !engine.frozen && in_time && !dice.percent(5) {
                engine.lease_until_ms = now_ms + LEASE_MS;
            }
        }
    }

    fn engine_trouble(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let at = dice.below(self.engines.len() as u64) as usize;
        let host = self.engines[at].host.clone();
        match (dice.below(10), self.engines[at].name) {
            (0 | 1, None) => self.forget_host(&host),
            (_, None) => self.register(at),
            (0..=3, Some(_)) => self.crash(at, dice),
            (4, Some(_)) => {
                self.coverage.note("a host vanishes");
                for other in 0..self.engines.len() {
                    if self.engines[other].host == host && self.engines[other].name.is_some() {
                        self.crash(other, dice)?;
                    }
                }
                Ok(())
            }
            (5 | 6, Some(_)) => {
                self.coverage.note("an engine freezes or thaws");
                self.engines[at].frozen = !self.engines[at].frozen;
                Ok(())
            }
            (7, Some(name)) => {
                self.coverage.note("an engine drains");
                self.propose(CommandKind::DrainEngine(name))?;
                Ok(())
            }
            (8, Some(_)) => {
                self.coverage.note("an engine comes back at once");
                self.crash(at, dice)?;
                self.register(at)
            }
            (_, Some(_)) => self.forget_host(&host),
        }
    }

    fn crash(&mut self, at: usize, dice: &mut Dice) -> Result<(), Broken> {
        self.coverage.note("an engine is lost");
        let member = self.engines[at].member;
        self.say(|| format!("engine {member} is lost"));
        let letters = self.with_engine(at, true, |engine, around, _| engine.crash(around, dice));
        self.letters.extend(letters);
        Ok(())
    }

    fn forget_host(&mut self, host: &str) -> Result<(), Broken> {
        let alive = self.reference().live_or_draining(host);
        let request = self.next_request();
        let outcome = self.propose(CommandKind::ForgetHost {
            request,
            host: host.into(),
        })?;
        match (outcome, alive) {
            (Outcome::Rejected(_), _) => Ok(()),
            (_, false) => {
                self.coverage.note("a host is forgotten");
                self.world.lose_host(host);
                Ok(())
            }
            (outcome, true) => broken("a live host is not forgotten", format!("{outcome:?}")),
        }
    }

    /// The leader finds leases that are over.
    pub fn expire(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let mut over: Vec<(usize, EngineRef)> = Vec::new();
        {
            let now = self.reference();
            for (at, engine) in self.engines.iter().enumerate() {
                let row = now.engines.get(&engine.member);
                let Some(row) =
                    row.filter(|row| row.lease != anneal_statemachine::row::LeaseState::Expired)
                else {
                    continue;
                };
                if self.now_ms > engine.lease_until_ms + MARGIN_MS {
                    over.push((
                        at,
                        EngineRef {
                            member: engine.member,
                            incarnation: row.incarnation,
                        },
                    ));
                }
            }
        }
        for (at, name) in over {
            self.coverage.note("an engine is expired");
            self.propose(CommandKind::ExpireEngine(name))?;
            // A process that still lives finds out, and its calls end without a verdict.
            if self.engines[at].name == Some(name) {
                let letters =
                    self.with_engine(at, true, |engine, around, _| engine.crash(around, dice));
                self.letters.extend(letters);
            }
        }
        Ok(())
    }

    fn tamper(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let all: Vec<u64> = self.world.objects.keys().copied().collect();
        let Some(serial) = dice.pick(&all).copied() else {
            return Ok(());
        };
        let object = self.world.objects[&serial].clone();
        if dice.percent(50) {
            self.coverage.note("an object vanishes");
            self.say(|| format!("  world: {} of i{} vanishes", object.physical, object.tag));
            self.world.vanish(serial);
        } else {
            self.coverage.note("an object is changed by hand");
            self.say(|| {
                format!(
                    "  world: {} of i{} is changed by hand",
                    object.physical, object.tag
                )
            });
            self.world.tamper(serial, dice.below(1_000) + 2_000_000);
        }
        Ok(())
    }

    /// What is seen of an instance now, if an observation can be made of it.
    pub fn see(&self, now: &Reference, id: InstanceId) -> Option<ObserveItem> {
        let row = now.instances[&id];
        if row.assignment.is_some() || !matches!(row.observed, Observed::Present { .. }) {
            return None;
        }
        let item = |seen| {
            Some(ObserveItem {
                instance: id,
                last_change: row.last_change,
                seen,
            })
        };
        if row.traits.derived_id {
            return None;
        }
        let definition = now.definition(row.definition)?;
        let stack = now.resources[&row.resource].stack;
        let (_, wanted) = evaluate(&definition.body, |name, attribute| {
            let below = now.names.get(&(stack, name.into()))?;
            let instance = now.current.get(below)?;
            let attribute = (attribute != "id").then(|| attribute.into());
            match self.rows.get(&RowKey::Attribute(*instance, attribute)) {
                Some(RowValue::Attribute(value)) => Some(value.bytes.to_vec()),
                _ => None,
            }
        })?;
        let physical = row.physical_id.as_deref()?;
        let kind = super::engines::kind_of(&self.world, &definition.type_name);
        let object = self.world.objects.values().find(|o| {
            o.kind == kind
                && o.physical == physical
                && o.host.as_deref() == row.host.as_deref()
                && (!self.world.kinds[kind].names || o.tag == row.origin.0)
        });
        match object {
            None => item(Seen::Vanished),
            Some(object) if object.content != wanted => item(Seen::Changed {
                difference: "plain".into(),
            }),
            Some(_) => item(Seen::Same),
        }
    }

    fn observe(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let now = self.reference();
        let settled: Vec<InstanceId> = now
            .current
            .iter()
            .filter(|(r, _)| now.settled[r])
            .map(|(_, instance)| *instance)
            .collect();
        let chosen = dice.pick(&settled).copied();
        let seen = chosen.and_then(|id| self.see(&now, id));
        self.observations.extend(seen);
        if self.observations.is_empty() || dice.percent(40) {
            return Ok(());
        }
        let at = dice.below(self.observations.len() as u64) as usize;
        let item = self.observations.remove(at);
        self.report_seen(item)
    }

    /// Reports an observation; one that is older than the last change must be dropped.
    pub fn report_seen(&mut self, item: ObserveItem) -> Result<(), Broken> {
        let now = self.reference();
        let fresh = now
            .instances
            .get(&item.instance)
            .is_some_and(|row| row.last_change == item.last_change && row.assignment.is_none());
        let what = format!("{item:?}");
        let difference = item.seen != Seen::Same;
        let outcome = self.propose(CommandKind::Observe { items: vec![item] })?;
        let taken = outcome == Outcome::Observed(vec![true]);
        if taken && !fresh {
            return broken("a stale observation is dropped", what);
        }
        if taken && difference {
            self.coverage.note("a difference is observed");
        }
        if !fresh {
            self.coverage.note("a stale observation is dropped");
        }
        Ok(())
    }

    fn keep_house(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let kind = match dice.below(4) {
            0 => CommandKind::ExpireRequests,
            1 => {
                let Some(stack) = self.some_stack(dice) else {
                    return Ok(());
                };
                let revision = self.reference().stacks[&stack].revision;
                self.coverage.note("history is expired");
                CommandKind::ExpireHistory {
                    stack,
                    revisions_through: Revision(dice.below(revision.0 + 1)),
                    events_before: self.index / 2,
                }
            }
            2 => CommandKind::AllocateMemberId {
                request: self.next_request(),
            },
            _ if dice.percent(15) => {
                self.wait(dice.within(1_000, 90_000));
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.propose(kind)?;
        Ok(())
    }
}

fn base_of(change: &Change) -> Option<Revision> {
    match change {
        Change::Update { base, .. } | Change::Rollback { base, .. } => Some(*base),
        _ => None,
    }
}
