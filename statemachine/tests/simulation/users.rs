//! The people of the simulation: what they declared in every revision, and what they ask next. They keep their own
//! archive, against which the state is judged; they must not know how the state machine stores anything.

use std::collections::BTreeMap;

use anneal_statemachine::command::{
    Change, ChangeStack, CommandKind, CommitStaged, Difference, Drift, OnFailure, StackOptions,
    StagePart,
};
use anneal_statemachine::id::{RequestId, Revision, StackId, Text};
use anneal_statemachine::outcome::{Outcome, StackAnswer};

use super::blueprint::{Author, Blueprint, blob, difference};
use super::dice::Dice;
use super::world::Powers;
use crate::reference::Reference;

/// Namespace of all stacks here.
pub const NAMESPACE: &str = "sim";

/// What a request will have declared if it is accepted.
#[derive(Clone, Debug)]
pub struct Meant {
    /// The stack's name.
    pub stack: String,
    /// The blueprint; nothing: the request changes none.
    pub blueprint: Option<Blueprint>,
}

/// A request that was sent, for sending it again.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The entry.
    pub kind: CommandKind,
    /// Its answer.
    pub outcome: Outcome,
    /// Wall time of the answer.
    pub wall_ms: u64,
}

/// All that was ever declared.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// Blueprints by stack and revision.
    pub archive: BTreeMap<(StackId, Revision), Blueprint>,
    /// Requests whose answers were final.
    pub sent: Vec<Sent>,
    next_request: u64,
}

impl Users {
    /// A fresh request id of this wall time.
    pub fn request(&mut self, wall_ms: u64) -> RequestId {
        self.next_request += 1;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&wall_ms.to_be_bytes()[2..]);
        id[6] = 0x70;
        id[8..].copy_from_slice(&self.next_request.to_be_bytes());
        RequestId(id)
    }

    /// The newest blueprint of a stack.
    pub fn newest(&self, stack: StackId, reference: &Reference) -> Blueprint {
        let revision = reference.stacks[&stack].revision;
        self.at(stack, revision)
    }

    /// The blueprint of a revision; before the first there is the empty one.
    pub fn at(&self, stack: StackId, revision: Revision) -> Blueprint {
        self.archive
            .get(&(stack, revision))
            .cloned()
            .unwrap_or_default()
    }

    /// Files what an accepted request has declared.
    pub fn file(&mut self, answer: StackAnswer, meant: &Meant) {
        if let Some(blueprint) = &meant.blueprint {
            self.archive
                .insert((answer.stack, answer.revision), blueprint.clone());
        }
    }

    /// Builds the automatic rollback of a stack: the difference to its last settled revision.
    pub fn roll_back(
        &mut self,
        stack: StackId,
        to: Option<Revision>,
        reference: &Reference,
        kinds: &[Powers],
        wall_ms: u64,
    ) -> (CommandKind, Meant) {
        let row = reference.stacks[&stack];
        let automatic = to.is_none();
        let to = to.unwrap_or(row.settled_revision);
        let goal = self.at(stack, to);
        let change = Change::Rollback {
            base: row.revision,
            to,
            difference: self.difference(&self.newest(stack, reference), &goal, kinds),
            failed: automatic.then_some(row.revision),
        };
        let meant = Meant {
            stack: row.name.to_string(),
            blueprint: Some(goal),
        };
        (self.change(&row.name, change, wall_ms), meant)
    }

    fn difference(&self, old: &Blueprint, new: &Blueprint, kinds: &[Powers]) -> Difference {
        difference(old, new, kinds)
    }

    /// A change of a stack as an entry, under a new request.
    pub fn change(&mut self, name: &str, change: Change, wall_ms: u64) -> CommandKind {
        CommandKind::ChangeStack(ChangeStack {
            request: self.request(wall_ms),
            namespace: Text::from(NAMESPACE),
            name: name.into(),
            change,
        })
    }

    /// Creates or updates a stack, at random; a third of the larger ones in parts.
    /// Returns the entries to propose, in order; the last one decides.
    pub fn declare(
        &mut self,
        name: &str,
        author: &Author,
        reference: &Reference,
        dice: &mut Dice,
        wall_ms: u64,
    ) -> (Vec<CommandKind>, Meant) {
        let existing = stack_named(reference, name);
        let (old, base) = match existing {
            Some(id) => (self.newest(id, reference), reference.stacks[&id].revision),
            None => (Blueprint::new(), Revision(0)),
        };
        let new = match existing {
            Some(_) if dice.percent(10) => old.clone(),
            Some(_) => author.revise(dice, &old),
            None => author.write(dice),
        };
        let mut difference = self.difference(&old, &new, author.kinds);
        if existing.is_none() || dice.percent(15) {
            difference.options = Some(options(dice));
        }
        if dice.percent(30) {
            difference.head = Some(blob(format!("head {}", dice.below(4)).into_bytes()));
            difference.parameters =
                Some(blob(format!("parameters {}", dice.below(4)).into_bytes()));
        }
        let stale = existing.is_some() && dice.percent(5);
        let base = if stale {
            Revision(base.0.wrapping_sub(1).min(1_000))
        } else {
            base
        };
        let meant = Meant {
            stack: name.to_owned(),
            blueprint: Some(new),
        };
        let staged = dice.percent(25);
        let parts = if staged {
            take_parts(&mut difference, dice)
        } else {
            Vec::new()
        };
        let change = match existing {
            Some(_) => Change::Update { base, difference },
            None => Change::Create { difference },
        };
        let CommandKind::ChangeStack(change) = self.change(name, change, wall_ms) else {
            unreachable!("just built as one")
        };
        if !staged {
            return (vec![CommandKind::ChangeStack(change)], meant);
        }
        let mut entries = Vec::new();
        let stage = self.request(wall_ms);
        let stack = existing.filter(|_| dice.percent(80));
        for (part, half) in parts.into_iter().enumerate() {
            let entry = StagePart {
                stage,
                part: part as u32,
                stack,
                set: half.set,
                remove: half.remove,
            };
            if dice.percent(10) {
                entries.push(CommandKind::StagePart(entry.clone()));
            }
            if !dice.percent(4) {
                entries.push(CommandKind::StagePart(entry));
            }
        }
        let parts = count_parts(&entries);
        entries.push(CommandKind::CommitStaged(CommitStaged {
            stage,
            parts,
            change,
        }));
        (entries, meant)
    }
}

/// The number of parts that there should be: one more than the largest number seen, at least two.
fn count_parts(entries: &[CommandKind]) -> u32 {
    let numbers = entries.iter().map(|entry| match entry {
        CommandKind::StagePart(part) => part.part + 1,
        _ => 0,
    });
    numbers.max().unwrap_or(0).max(2)
}

/// Cuts the resources and removals of a difference into two parts, in order.
fn take_parts(difference: &mut Difference, dice: &mut Dice) -> Vec<Difference> {
    let mut set = std::mem::take(&mut difference.set);
    let mut remove = std::mem::take(&mut difference.remove);
    let rest = set.split_off(dice.below(set.len() as u64 + 1) as usize);
    let more = remove.split_off(dice.below(remove.len() as u64 + 1) as usize);
    vec![
        Difference {
            set,
            remove,
            ..Difference::default()
        },
        Difference {
            set: rest,
            remove: more,
            ..Difference::default()
        },
    ]
}

/// The stack that holds a name.
pub fn stack_named(reference: &Reference, name: &str) -> Option<StackId> {
    reference
        .stacks
        .iter()
        .find(|(_, row)| row.named && *row.name == *name)
        .map(|(id, _)| *id)
}

fn options(dice: &mut Dice) -> StackOptions {
    StackOptions {
        on_failure: match dice.below(4) {
            0 => OnFailure::Halt,
            1 => OnFailure::Rollback,
            _ => OnFailure::Continue,
        },
        timeout_ms: dice.percent(15).then(|| dice.within(500, 20_000)),
        drift: if dice.percent(25) {
            Drift::Report
        } else {
            Drift::Heal
        },
        observe_interval_ms: 1_000,
        parallelism: None,
        protect: dice.percent(4),
    }
}
