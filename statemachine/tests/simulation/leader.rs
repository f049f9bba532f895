//! The leader of the simulation: finds work by the reference's judgement (never by the state machine's lists), picks
//! engines, builds chunks, and checks that what the state machine takes or refuses is what the design demands. Some of
//! what it proposes is wrong on purpose.

use std::collections::BTreeSet;

use anneal_statemachine::command::{AssignItem, AssignWork, CommandKind};
use anneal_statemachine::digest::Digest;
use anneal_statemachine::id::{EngineRef, InstanceId, ResourceId, Text};
use anneal_statemachine::outcome::Outcome;
use anneal_statemachine::row::{EngineRow, LeaseState};

use super::dice::Dice;
use super::laws::{Broken, because, broken};
use super::sim::Sim;
use crate::reference::{Obstacle, Reference};

/// A piece of work, and what is in its way.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The work.
    pub work: AssignWork,
    /// What is in its way; nothing if it may start.
    pub obstacle: Option<Obstacle>,
    /// Its type.
    pub type_name: Text,
    /// Where it must be done.
    pub host: Option<Text>,
}

/// All work that there is, ready or not.
pub fn candidates(now: &Reference) -> Vec<Candidate> {
    let mut all = Vec::new();
    for (id, row) in &now.resources {
        let Some(definition) = row.desired.as_ref().and_then(|d| d.definition) else {
            continue;
        };
        let obstacle = now
            .make_obstacle(*id)
            .or_else(|| now.hosts_differ(*id).then_some(Obstacle::HostsDiffer));
        all.push(Candidate {
            work: AssignWork::Make {
                resource: *id,
                definition,
            },
            obstacle,
            type_name: now
                .definition(definition)
                .expect("it is desired")
                .type_name
                .clone(),
            host: now.host_for(*id),
        });
    }
    for (id, row) in &now.instances {
        let type_name = now
            .definition(row.definition)
            .expect("it was made from it")
            .type_name
            .clone();
        let host = row.host.clone().filter(|_| row.traits.host_bound);
        let base = Candidate {
            work: AssignWork::Look { instance: *id },
            obstacle: None,
            type_name,
            host,
        };
        all.push(Candidate {
            obstacle: now.look_obstacle(*id),
            ..base.clone()
        });
        let work = AssignWork::Delete { instance: *id };
        all.push(Candidate {
            work,
            obstacle: now.delete_obstacle(*id),
            ..base
        });
    }
    all
}

/// Whether an engine may do it, by type and host.
fn suits(now: &Reference, engine: &EngineRow, candidate: &Candidate) -> bool {
    engine.lease == LeaseState::Live
        && !now.forgetting.contains(&engine.host)
        && engine.offers.contains(&candidate.type_name)
        && candidate
            .host
            .as_ref()
            .is_none_or(|host| *host == engine.host)
}

impl Sim {
    /// One round of assigning at random: mostly right, now and then wrong. True if anything was assigned.
    pub fn dispatch(&mut self, dice: &mut Dice, honest: bool) -> Result<bool, Broken> {
        let now = self.reference();
        let mut all = candidates(&now);
        let wrong = !honest && dice.percent(15);
        if !wrong {
            all.retain(|candidate| candidate.obstacle.is_none());
        }
        let Some(mut chosen) = dice.pick(&all).cloned() else {
            return Ok(false);
        };
        let engines: Vec<(u64, EngineRow)> = now
            .engines
            .iter()
            .map(|(m, e)| (*m, (*e).clone()))
            .collect();
        let suitable: Vec<&(u64, EngineRow)> = engines
            .iter()
            .filter(|(_, e)| suits(&now, e, &chosen))
            .collect();
        let any = dice.pick(&engines).cloned();
        let engine = dice
            .pick(&suitable)
            .map(|e| (*e).clone())
            .or(any.filter(|_| !honest));
        let Some((member, row)) = engine else {
            return Ok(false);
        };
        let mut name = EngineRef {
            member,
            incarnation: row.incarnation,
        };
        let mut expected = chosen.obstacle.is_none() && suits(&now, &row, &chosen);
        if wrong && dice.percent(30) {
            self.coverage.note("a stale assign is proposed");
            match &mut chosen.work {
                AssignWork::Make { definition, .. } if dice.percent(50) => {
                    *definition = Digest([7; 32])
                }
                _ => name.incarnation = name.incarnation.wrapping_sub(1),
            }
            expected = false;
        }
        let not_after_ms = self.now_ms + dice.within(100, 2_500);
        let item = AssignItem {
            work: chosen.work,
            engine: name,
            not_after_ms,
            chunk: None,
        };
        let chunk = if expected && dice.percent(50) {
            self.chunk(&item, dice)
        } else {
            Vec::new()
        };
        if chunk.len() > 1 {
            return self.assign_chunk(chunk);
        }
        if !honest && dice.percent(5) {
            self.delayed.push(CommandKind::Assign { items: vec![item] });
            return Ok(false);
        }
        let text = format!("{:?} to {name}, {}", item.work, because(&chosen.obstacle));
        let Outcome::Assigned(answers) = self.propose(CommandKind::Assign { items: vec![item] })?
        else {
            return broken("an assign is answered item by item", text);
        };
        match (&answers[..], expected) {
            ([Ok(_)], true) => {
                self.coverage.note(match chosen.work {
                    AssignWork::Make { .. } => "a make is assigned",
                    AssignWork::Look { .. } => "a look is assigned",
                    AssignWork::Delete { .. } => "a delete is assigned",
                });
                Ok(true)
            }
            ([Err(_)], false) => {
                self.coverage.note("an inadmissible assign is refused");
                Ok(false)
            }
            (answers, true) => broken("what may start is admitted", format!("{text}: {answers:?}")),
            (_, false) => broken("what may not start is refused", text),
        }
    }

    fn assign_chunk(&mut self, items: Vec<AssignItem>) -> Result<bool, Broken> {
        let text = format!("{:?}", items.iter().map(|i| i.work).collect::<Vec<_>>());
        let Outcome::Assigned(answers) = self.propose(CommandKind::Assign { items })? else {
            return broken("an assign is answered item by item", text);
        };
        self.coverage.note("a chunk is assigned");
        match answers.iter().find(|answer| answer.is_err()) {
            None => Ok(true),
            Some(refused) => broken(
                "an honest chunk is admitted",
                format!("{text}: {refused:?} in {answers:?}"),
            ),
        }
    }

    /// What may travel along with a first item.
    fn chunk(&self, first: &AssignItem, dice: &mut Dice) -> Vec<AssignItem> {
        let now = self.reference();
        let engine = now.engines[&first.engine.member];
        let mut items = vec![AssignItem {
            chunk: Some(0),
            ..first.clone()
        }];
        match first.work {
            AssignWork::Make { resource, .. } => {
                if !now.is_new_and_seeing(resource) {
                    return Vec::new();
                }
                let mut inside = BTreeSet::from([resource]);
                while let Some(next) = next_to_make(&now, &inside, engine, dice) {
                    let definition = now.resources[&next]
                        .desired
                        .as_ref()
                        .and_then(|d| d.definition);
                    let work = AssignWork::Make {
                        resource: next,
                        definition: definition.expect("wanted"),
                    };
                    items.push(AssignItem {
                        work,
                        ..items[0].clone()
                    });
                    inside.insert(next);
                }
            }
            AssignWork::Delete { instance } => {
                let traits = now.instances[&instance].traits;
                if !traits.can_look && !traits.derived_id {
                    return Vec::new();
                }
                let mut inside = BTreeSet::from([instance]);
                while let Some(next) = next_to_delete(&now, &inside, engine, dice) {
                    items.push(AssignItem {
                        work: AssignWork::Delete { instance: next },
                        ..items[0].clone()
                    });
                    inside.insert(next);
                }
            }
            AssignWork::Look { .. } => {}
        }
        items
    }

    /// What an earlier leader proposed is committed late; whatever it is answered is right, as long as the laws hold.
    pub fn commit_delayed(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        if self.delayed.is_empty() {
            return Ok(());
        }
        let at = dice.below(self.delayed.len() as u64) as usize;
        let kind = self.delayed.remove(at);
        self.coverage
            .note("an earlier leader's entry is committed late");
        self.propose(kind)?;
        Ok(())
    }
}

/// A dependent that is yet to be made, and all of whose unsettled requirements are inside.
fn next_to_make(
    now: &Reference,
    inside: &BTreeSet<ResourceId>,
    engine: &EngineRow,
    dice: &mut Dice,
) -> Option<ResourceId> {
    let fits: Vec<ResourceId> = now
        .resources
        .iter()
        .filter(|(id, row)| {
            let (unsettled, settled): (Vec<&ResourceId>, Vec<&ResourceId>) =
                row.requires.iter().partition(|below| !now.settled[below]);
            let hosts = settled
                .iter()
                .filter_map(|below| now.current.get(below))
                .filter_map(|i| now.instances[i].host.as_ref())
                .all(|host| *host == engine.host);
            !inside.contains(id)
                && now.wanted(**id)
                && now.is_new_and_seeing(**id)
                && !unsettled.is_empty()
                && unsettled.iter().all(|below| inside.contains(*below))
                && now
                    .trouble(anneal_statemachine::id::Subject::Resource(**id))
                    .is_none()
                && now.engine_offers(engine, **id)
                && (hosts || !now.is_host_bound(**id))
        })
        .map(|(id, _)| *id)
        .collect();
    dice.pick(&fits).copied().filter(|_| dice.percent(85))
}

/// An unwanted instance that only instances inside require.
fn next_to_delete(
    now: &Reference,
    inside: &BTreeSet<InstanceId>,
    engine: &EngineRow,
    dice: &mut Dice,
) -> Option<InstanceId> {
    let fits: Vec<InstanceId> = now
        .instances
        .iter()
        .filter(|(id, row)| {
            let above = now.requirers.get(id);
            let candidate = now.definition(row.definition).expect("made from it");
            !inside.contains(id)
                && (row.traits.can_look || row.traits.derived_id)
                && now.may_follow_in_deletion(**id, inside)
                && above.is_some_and(|above| {
                    !above.is_empty() && above.iter().all(|a| inside.contains(a))
                })
                && engine.offers.contains(&candidate.type_name)
                && (!row.traits.host_bound || row.host.as_ref() == Some(&engine.host))
        })
        .map(|(id, _)| *id)
        .collect();
    dice.pick(&fits).copied().filter(|_| dice.percent(85))
}
