//! Engines come, drain and go. What an engine held when it went is `Unknown`. Knows nothing of leases'
//! clocks.

use crate::command::RegisterEngine;
use crate::event::EventKind;
use crate::id::{EngineRef, InstanceId, Text};
use crate::outcome::{Outcome, Rejection};
use crate::row::{EngineRow, LeaseState};
use crate::state::Engine;
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn register_engine(&mut self, engine: RegisterEngine) -> Outcome {
        let member = engine.member;
        let present = self.state.engines.get(&member);
        let present = present.map_or(0, |present| present.row.incarnation);
        if engine.follows.is_some_and(|follows| follows != present) {
            return Outcome::Rejected(Rejection::EngineChanged(EngineRef {
                member,
                incarnation: present,
            }));
        }
        self.lose_all(member);
        let mut offers = engine.offers;
        offers.sort();
        offers.dedup();
        let row = EngineRow {
            incarnation: self.index,
            host: engine.host,
            address: engine.address,
            capacity: engine.capacity,
            offers: offers.into(),
            labels: engine.labels.into(),
            lease: LeaseState::Live,
        };
        let text = format!("engine of member {member} on host {}", row.host);
        self.state.engines.insert(member, Engine::new(row));
        self.touch_engine(member);
        self.tell(None, EventKind::EngineRegistered, text);
        Outcome::Registered(EngineRef {
            member,
            incarnation: self.index,
        })
    }

    pub(crate) fn expire_engine(&mut self, engine: EngineRef) -> Outcome {
        if !self.is_current(engine) {
            return Outcome::Rejected(Rejection::EngineNotLive(engine));
        }
        self.lose_all(engine.member);
        self.set_lease(engine.member, LeaseState::Expired);
        self.tell(None, EventKind::EngineExpired, format!("engine {engine}"));
        Outcome::Taken
    }

    pub(crate) fn drain_engine(&mut self, engine: EngineRef) -> Outcome {
        if !self.is_current(engine) {
            return Outcome::Rejected(Rejection::EngineNotLive(engine));
        }
        self.set_lease(engine.member, LeaseState::Draining);
        self.tell(None, EventKind::EngineDraining, format!("engine {engine}"));
        Outcome::Taken
    }

    fn is_current(&self, engine: EngineRef) -> bool {
        let found = self.state.engines.get(&engine.member);
        found.is_some_and(|found| found.is(engine) && !found.expired())
    }

    fn set_lease(&mut self, member: u64, lease: LeaseState) {
        if let Some(engine) = self.state.engines.get_mut(&member) {
            engine.row.lease = lease;
            self.touch_engine(member);
        }
    }

    /// What the member's engine held is in doubt from now on.
    fn lose_all(&mut self, member: u64) {
        let Some(engine) = self.state.engines.get(&member) else {
            return;
        };
        let held: Vec<InstanceId> = engine.holds.iter().copied().collect();
        for id in held {
            self.becomes_unknown(id, true);
            self.tell_instance(
                id,
                EventKind::Unknown,
                format!("the engine of member {member} was lost"),
            );
        }
    }

    /// A person says that a host is gone for good: what lived there is forgotten, and made again
    /// elsewhere; a bounded part at once, the rest in later entries. Until it is through, an engine that comes
    /// (back) on the host is given nothing: what it would make, look at or delete there may be about to be forgotten.
    pub(crate) fn forget_host(&mut self, host: &Text) -> Outcome {
        let on_host = |engine: &&Engine| engine.row.host == *host;
        let engines = &self.state.engines;
        if engines
            .values()
            .filter(on_host)
            .any(|engine| !engine.expired())
        {
            return Outcome::Rejected(Rejection::HostIsLive(host.clone()));
        }
        let members: Vec<u64> = engines
            .iter()
            .filter(|(_, engine)| on_host(engine))
            .map(|(id, _)| *id)
            .collect();
        let known = self.state.cluster.forgetting.contains(host);
        if members.is_empty() && !known && self.next_on(host).is_none() {
            return Outcome::Rejected(Rejection::HostNotFound(host.clone()));
        }
        for member in members {
            self.state.engines.remove(&member);
            self.touch_engine(member);
        }
        let mut budget = self.items_per_entry();
        if !known && !self.forget_some(host, &mut budget) {
            self.touch_cluster();
            self.state.cluster.forgetting.push(host.clone());
        }
        self.tell(None, EventKind::HostForgotten, format!("host {host}"));
        Outcome::Taken
    }

    /// Carries on forgetting what lived on hosts that are gone, for as long as the budget lasts.
    pub(crate) fn forget_on(&mut self, budget: &mut usize) {
        while let Some(host) = self.state.cluster.forgetting.first().cloned() {
            if !self.forget_some(&host, budget) {
                return;
            }
            self.touch_cluster();
            self.state.cluster.forgetting.remove(0);
        }
    }

    /// Forgets some of what lived on a host. An instance costs as much as it is required. True: nothing is left.
    fn forget_some(&mut self, host: &Text, budget: &mut usize) -> bool {
        while let Some(id) = self.next_on(host) {
            if *budget == 0 {
                return false;
            }
            let cost = 1 + self.state.requirers_of(id).count();
            *budget = budget.saturating_sub(cost);
            self.tell_instance(id, EventKind::Forgotten, format!("its host {host} is gone"));
            self.forget(id);
        }
        true
    }

    fn next_on(&self, host: &Text) -> Option<InstanceId> {
        let from = (host.clone(), InstanceId(0));
        let through = (host.clone(), InstanceId(u64::MAX));
        let mut instances = self.state.hosts.range(from..=through);
        instances.next().map(|(_, id)| *id)
    }
}
