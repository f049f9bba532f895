//! What people ask of the simulated cluster, and what must be answered. It must not know how an answer is found.

use std::collections::BTreeSet;

use anneal_statemachine::command::{ActionResult, Change, CommandKind, ReportItem};
use anneal_statemachine::id::{InstanceId, Revision, StackId};
use anneal_statemachine::outcome::{Outcome, Rejection};

use super::dice::Dice;
use super::laws::{Broken, broken};
use super::sim::Sim;
use super::users::{Meant, Sent, stack_named};

/// How many resources a stack declares before and after a change, and may.
struct Room {
    before: u64,
    after: u64,
    most: u64,
}

impl Room {
    /// Refused for want of room is what has none, and nothing else.
    fn judge(&self, sent: &Sent) -> Result<(), Broken> {
        let outcome = &sent.outcome;
        let lacks = self.after > self.before && self.after > self.most;
        // A part tells how many there are so far; what decides, how many there would be.
        let is_part = matches!(sent.kind, CommandKind::StagePart(_));
        let counted = |count| match is_part {
            true => count > self.most && count <= self.after,
            false => count == self.after,
        };
        let told = |count, limit| counted(count) && limit == self.most;
        let right = match outcome {
            Outcome::Stack(_) => !lacks,
            Outcome::Rejected(Rejection::TooManyResources { count, limit }) => {
                lacks && told(*count, *limit)
            }
            _ => true,
        };
        let (before, after, most) = (self.before, self.after, self.most);
        match right {
            true => Ok(()),
            false => broken(
                "a stack has as many resources as there is room for",
                format!("{before} become {after} of {most}: {outcome:?}"),
            ),
        }
    }
}

impl Sim {
    pub fn declare(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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
        let room = Room {
            before: before.map_or(0, |(id, at)| self.users.at(id, at).len() as u64),
            after: meant.blueprint.as_ref().map_or(0, |it| it.len() as u64),
            most: self.config.max_resources,
        };
        let base = match entries.last() {
            Some(CommandKind::ChangeStack(change)) => base_of(&change.change),
            Some(CommandKind::CommitStaged(commit)) => base_of(&commit.change.change),
            _ => None,
        };
        let asked = self.users.sent.len();
        self.ask(entries, &meant)?;
        for sent in &self.users.sent[asked..] {
            room.judge(sent)?;
        }
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
                    Rejection::StageIncomplete { .. }
                        | Rejection::ResourceProtected { .. }
                        | Rejection::TooManyResources { .. }
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

    pub fn some_stack(&self, dice: &mut Dice) -> Option<StackId> {
        let now = self.reference();
        let all: Vec<StackId> = now
            .stacks
            .iter()
            .filter(|(_, row)| row.named)
            .map(|(id, _)| *id)
            .collect();
        dice.pick(&all).copied()
    }

    pub fn ask_something(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let Some(stack) = self.some_stack(dice) else {
            return Ok(());
        };
        let name = self.reference().stacks[&stack].name.to_string();
        let wall_ms = self.wall_ms();
        let (change, what, blueprint) = match dice.below(10) {
            0 | 1 => (
                Change::Delete { base: None },
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

    pub fn roll_back_by_hand(&mut self, stack: StackId, dice: &mut Dice) -> Result<(), Broken> {
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
    pub fn resend(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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
        // What a part is answered is not kept; the commit's answer is.
        let kept = !matches!(sent.kind, CommandKind::StagePart(_));
        let fresh = self.wall_ms() < sent.wall_ms + 30_000;
        if !final_answer || !kept || !fresh {
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

    pub fn intervene(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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
        // Who says which of several it is removes the others by hand, unless somebody knows of them, or is about to.
        let known: BTreeSet<String> = now
            .instances
            .values()
            .filter_map(|row| row.physical_id.as_ref().map(|id| id.to_string()))
            .chain(physical_id.as_ref().map(|id| id.to_string()))
            .chain(self.letters.iter().filter_map(told_id))
            .collect();
        let left: Vec<u64> = self
            .world
            .objects_of(origin)
            .filter(|(_, o)| !known.contains(&o.physical))
            .map(|(serial, _)| serial)
            .collect();
        for serial in left {
            self.world.vanish(serial);
        }
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
}

/// The id that a report on its way tells of.
fn told_id(letter: &ReportItem) -> Option<String> {
    let id = match &letter.result {
        ActionResult::Done(done) => done.physical_id.as_ref()?,
        ActionResult::Failed(failure) => failure.physical_id.as_ref()?,
        ActionResult::NoVerdict { physical_id, .. } => physical_id.as_ref()?,
        ActionResult::LatePhysicalId { physical_id } => physical_id,
        _ => return None,
    };
    Some(id.to_string())
}

fn base_of(change: &Change) -> Option<Revision> {
    match change {
        Change::Update { base, .. } | Change::Rollback { base, .. } => Some(*base),
        _ => None,
    }
}
