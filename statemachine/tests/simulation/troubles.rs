//! What befalls engines, the world and its observation, and housekeeping. It must not know what comes of it.

use anneal_statemachine::command::{CommandKind, ObserveItem, Seen};
use anneal_statemachine::id::{EngineRef, InstanceId, Revision};
use anneal_statemachine::outcome::Outcome;
use anneal_statemachine::row::{Observed, RowKey, RowValue};

use super::blueprint::evaluate;
use super::config::MARGIN_MS;
use super::dice::Dice;
use super::laws::{Broken, broken};
use super::sim::Sim;
use super::world::Call;
use crate::reference::Reference;

impl Sim {
    pub fn engine_trouble(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let at = dice.below(self.engines.len() as u64) as usize;
        let host = self.engines[at].host.clone();
        if self.config.deep && dice.percent(25) {
            return self.lose_host_for_good(&host, dice);
        }
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

    /// A machine is gone, and a person says so once its engines have been found to be. Another takes its place at once.
    fn lose_host_for_good(&mut self, host: &str, dice: &mut Dice) -> Result<(), Broken> {
        let on_host: Vec<usize> = (0..self.engines.len())
            .filter(|at| self.engines[*at].host == host)
            .collect();
        for at in &on_host {
            if self.engines[*at].name.is_some() {
                self.crash(*at, dice)?;
            }
        }
        self.wait(super::config::LEASE_MS + MARGIN_MS + 1);
        self.expire(dice)?;
        self.forget_host(host)?;
        match dice.percent(50) {
            true => self.register(on_host[0]),
            false => Ok(()),
        }
    }

    pub fn crash(&mut self, at: usize, dice: &mut Dice) -> Result<(), Broken> {
        self.coverage.note("an engine is lost");
        let member = self.engines[at].member;
        self.say(|| format!("engine {member} is lost"));
        let letters = self.with_engine(at, true, |engine, around, _| engine.crash(around, dice));
        self.letters.extend(letters);
        Ok(())
    }

    pub fn forget_host(&mut self, host: &str) -> Result<(), Broken> {
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
                let kinds = &self.world.kinds;
                let gone = |call: &Call| kinds[call.kind].host_bound && call.host == host;
                self.landing.retain(|call| !gone(call));
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

    /// Current instances of resources of which not all dependents know how they stand.
    fn amid_cones(&self) -> Vec<InstanceId> {
        let now = self.reference();
        let telling = now.stacks.values().flat_map(|row| &row.telling);
        let unsettling = now.stacks.values().flat_map(|row| &row.unsettling);
        let resources = telling
            .map(|rest| rest.resource)
            .chain(unsettling.map(|rest| rest.resource));
        resources
            .filter_map(|resource| now.current.get(&resource).copied())
            .collect()
    }

    pub fn tamper(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let mut all: Vec<u64> = self.world.objects.keys().copied().collect();
        if self.config.deep && dice.percent(60) {
            let amid = self.amid_cones();
            let is_amid = |serial: &u64| amid.contains(&InstanceId(self.world.objects[serial].tag));
            if all.iter().any(is_amid) {
                all.retain(is_amid);
            }
        }
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

    pub fn observe(&mut self, dice: &mut Dice) -> Result<(), Broken> {
        let now = self.reference();
        let mut settled: Vec<InstanceId> = now
            .current
            .iter()
            .filter(|(r, _)| now.settled[r])
            .map(|(_, instance)| *instance)
            .collect();
        if self.config.deep && dice.percent(60) {
            let amid = self.amid_cones();
            if settled.iter().any(|id| amid.contains(id)) {
                settled.retain(|id| amid.contains(id));
            }
        }
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

    pub fn keep_house(&mut self, dice: &mut Dice) -> Result<(), Broken> {
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
