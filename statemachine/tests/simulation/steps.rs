//! The steps of a history before the faults are off. Each is a kind and a seed of its own, so that any of them can be
//! left out and the others still mean something: that is how failing histories are shrunk.

use anneal_statemachine::command::{CommandKind, RegisterEngine, Settings};
use anneal_statemachine::id::{EngineRef, InstanceId, StackId};
use anneal_statemachine::outcome::Outcome;

use super::config::{Config, LEASE_MS, MARGIN_MS};
use super::dice::Dice;
use super::laws::{Broken, broken};
use super::sim::Sim;

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
    let weights = weights.map(|(kind, weight)| match kind {
        StepKind::Tamper | StepKind::Observe if config.deep => (kind, weight + 8),
        StepKind::Tend if config.deep => (kind, weight / 2),
        _ => (kind, weight),
    });
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
            max_resources: self.config.max_resources,
        };
        self.propose(CommandKind::ClusterSettings { request, settings })?;
        for at in 0..self.engines.len() {
            self.register(at)?;
        }
        Ok(())
    }

    pub fn next_request(&mut self) -> anneal_statemachine::id::RequestId {
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
            StepKind::Dispatch if self.lead.is_some() => {
                for _ in 0..dice.within(1, 3) {
                    self.lead(dice)?;
                }
                Ok(())
            }
            StepKind::Dispatch => {
                for _ in 0..dice.within(1, 3) {
                    self.dispatch(dice, false)?;
                }
                Ok(())
            }
            StepKind::Tend => self.tend(dice).map(|_| ()),
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
        let present = self.reference().engines.get(&engine.member).copied();
        let register = RegisterEngine {
            follows: Some(present.map_or(0, |present| present.incarnation)),
            member: engine.member,
            host: engine.host.as_str().into(),
            address: "127.0.0.1:7400".into(),
            capacity: self.config.capacity,
            offers: self
                .config
                .kinds
                .iter()
                .map(|kind| kind.name.as_str().into())
                .collect(),
            labels: Vec::new(),
        };
        let before = self.machine.state().engine(register.member);
        let before = before.map(|found| found.engine);
        let outcome = self.propose(CommandKind::RegisterEngine(register))?;
        let Outcome::Registered(name) = outcome else {
            return broken(
                "registering is answered by an incarnation",
                format!("{outcome:?}"),
            );
        };
        if let Some(before) = before {
            self.check_late_expiry(before)?;
        }
        let now_ms = self.now_ms;
        let engine = &mut self.engines[at];
        engine.running.clear();
        engine.replica = std::rc::Rc::clone(&self.rows);
        engine.name = Some(name);
        engine.frozen = false;
        engine.lease_until_ms = now_ms + LEASE_MS;
        Ok(())
    }

    /// An expiry that was proposed while the member's earlier engine was silent is committed after the later one has
    /// registered: it concerns nobody any more.
    fn check_late_expiry(&self, earlier: EngineRef) -> Result<(), Broken> {
        let expiry = self.command(CommandKind::ExpireEngine(earlier));
        let mut machine = self.machine.state().clone();
        let applied = machine.apply(self.index + 1, expiry);
        let refused = matches!(applied.outcome, Outcome::Rejected(_));
        if refused && applied.rows.is_empty() {
            return Ok(());
        }
        let text = format!("{earlier}: {:?}", applied.outcome);
        broken("an expiry concerns one incarnation", text)
    }

    /// What the leader does besides assigning. True if a deadline had come: there may be more to it.
    pub fn tend(&mut self, dice: &mut Dice) -> Result<bool, Broken> {
        if self.reference().wants_advance() {
            self.coverage.note("a queue is carried on");
            self.propose(CommandKind::Advance)?;
        } else if dice.percent(10) {
            self.propose(CommandKind::Advance)?;
        }
        let fired = self.propose(CommandKind::FireDeadlines)?;
        let fired = matches!(fired, Outcome::Fired { count } if count > 0);
        if fired {
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
        Ok(fired)
    }

    /// A leader that thinks a rollback due which is not (any more) is told so.
    pub fn roll_back_undue(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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

    pub fn roll_back_automatically(&mut self, stack: StackId) -> Result<(), Broken> {
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

    pub fn engine_step(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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
            if let Some(physical) = letter.result.physical_id() {
                self.world.tell(physical);
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

    pub fn pass_time(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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
}
