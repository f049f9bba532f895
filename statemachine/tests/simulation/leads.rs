//! Another leader than the simulation's own: the product's dispatcher, where a test has both. What it proposes is
//! committed later, in order, while other entries come in between; leaders change, and with them what was under way.

use std::collections::VecDeque;

use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{AssignItem, CommandKind};
use anneal_statemachine::outcome::{Applied, Assigned, Outcome, Refusal};

use super::dice::Dice;
use super::laws::{Broken, broken};
use super::sim::Sim;

/// A leader's mind. What it remembers of batches under way is in the order in which it decided them.
pub trait Leads {
    /// Takes over: whatever another one has proposed is committed, or lost.
    fn elected(&mut self, machine: &StateMachine);
    /// The next batch; empty if there is nothing to give.
    fn decide(&mut self, machine: &StateMachine, now_ms: u64) -> Vec<AssignItem>;
    /// The oldest batch under way was answered.
    fn decided(
        &mut self,
        machine: &StateMachine,
        answers: Vec<Result<Assigned, Refusal>>,
        now_ms: u64,
    );
    /// An entry was applied.
    fn applied(&mut self, machine: &StateMachine, applied: &Applied, now_ms: u64);
    /// How long until it would decide otherwise although nothing happens.
    fn wait_ms(&mut self, now_ms: u64) -> Option<u64>;
    /// What must hold of what engines have.
    fn check(&self, machine: &StateMachine) -> Result<(), Broken>;
}

/// The leader, and its batches that are proposed and not committed.
pub struct Lead {
    /// Who decides.
    pub mind: Box<dyn Leads>,
    /// Batches under way, the oldest first.
    pub pending: VecDeque<Vec<AssignItem>>,
}

/// Batches under way, at most.
const MOST_PENDING: usize = 3;
/// A wait passes at least so much time, as everywhere at a history's end: its rounds are bounded.
const LEAST_WAIT_MS: u64 = 200;
/// Batches one after the other when nothing else happens: far more than what one history has work for.
const MOST_BATCHES: usize = 1_000;

impl Sim {
    /// Something that the leader does: it decides, a batch of its is committed, or another one takes over.
    pub(super) fn lead(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        if dice.percent(3) {
            return self.elect(dice);
        }
        let pending = self.lead_mut().pending.len();
        if pending < MOST_PENDING && dice.percent(60) {
            self.decide()?;
        }
        if self.lead_mut().pending.is_empty() || dice.percent(30) {
            return Ok(());
        }
        self.commit_oldest()
    }

    /// Everything that there is to give is given. True if something was, or will be after a while.
    pub(super) fn lead_to_the_end(&mut self) -> Result<bool, Broken> {
        let mut moved = false;
        for _ in 0..MOST_BATCHES {
            let decided = self.decide()?;
            if !decided && self.lead_mut().pending.is_empty() {
                let now_ms = self.now_ms;
                let wait_ms = self.lead_mut().mind.wait_ms(now_ms);
                if let Some(wait_ms) = wait_ms.filter(|_| !moved) {
                    self.coverage.note("the leader waits for its time");
                    self.wait(wait_ms.max(LEAST_WAIT_MS));
                    moved = true;
                }
                return Ok(moved);
            }
            moved = true;
            self.commit_oldest()?;
        }
        broken("the leader runs out of work", "it goes on and on")
    }

    fn lead_mut(&mut self) -> &mut Lead {
        self.lead.as_mut().expect("there is one in this history")
    }

    /// Whatever the leader decides on, alone or as a chunk, would be taken, were it the next thing to happen.
    fn decide(&mut self) -> Result<bool, Broken> {
        let now_ms = self.now_ms;
        let lead = self.lead.as_mut().expect("there is one in this history");
        let items = lead.mind.decide(self.machine.state(), now_ms);
        if items.is_empty() {
            return Ok(false);
        }
        self.coverage.note("the leader decides on a batch");
        if items.iter().any(|item| item.chunk.is_some()) {
            self.coverage.note("the leader decides on a chunk");
        }
        for unit in units(&items) {
            let text = format!("{unit:?}");
            let answers = self.foresee(unit);
            if answers.iter().any(Result::is_err) {
                let text = format!("{text}: {answers:?}");
                return broken("the leader proposes only what may start", text);
            }
        }
        if self.foresee(items.clone()).iter().any(Result::is_err) {
            self.coverage.note("a batch gets in its own way");
        }
        self.lead_mut().pending.push_back(items);
        Ok(true)
    }

    /// What would be answered now.
    fn foresee(&self, items: Vec<AssignItem>) -> Vec<Result<Assigned, Refusal>> {
        let command = self.command(CommandKind::Assign { items });
        let mut machine = self.machine.state().clone();
        match machine.apply(self.index + 1, command).outcome {
            Outcome::Assigned(answers) => answers,
            other => unreachable!("an assign is answered by {other:?}"),
        }
    }

    fn commit_oldest(&mut self) -> Result<(), Broken> {
        let Some(items) = self.lead_mut().pending.pop_front() else {
            return Ok(());
        };
        let outcome = self.propose(CommandKind::Assign { items })?;
        let Outcome::Assigned(answers) = outcome else {
            return broken("an assign is answered item by item", format!("{outcome:?}"));
        };
        if answers.iter().any(Result::is_err) {
            self.coverage.note("a decision is overtaken");
        }
        let now_ms = self.now_ms;
        let lead = self.lead.as_mut().expect("there is one in this history");
        lead.mind.decided(self.machine.state(), answers, now_ms);
        Ok(())
    }

    /// The log keeps the first of what is under way, or none, or all; nobody hears of the answers.
    fn elect(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        self.coverage.note("another leader takes over");
        self.say(|| "another leader takes over".into());
        let pending = std::mem::take(&mut self.lead_mut().pending);
        let kept = dice.below(pending.len() as u64 + 1) as usize;
        for items in pending.into_iter().take(kept) {
            self.propose(CommandKind::Assign { items })?;
        }
        let lead = self.lead.as_mut().expect("there is one in this history");
        lead.mind.elected(self.machine.state());
        Ok(())
    }
}

/// What stands alone, and chunks.
fn units(items: &[AssignItem]) -> Vec<Vec<AssignItem>> {
    let mut units: Vec<Vec<AssignItem>> = Vec::new();
    for item in items {
        let same = |unit: &&mut Vec<AssignItem>| {
            item.chunk.is_some() && unit.iter().all(|other| other.chunk == item.chunk)
        };
        match units.iter_mut().find(same) {
            Some(unit) => unit.push(item.clone()),
            None => units.push(vec![item.clone()]),
        }
    }
    units
}
