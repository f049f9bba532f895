//! Faults off: from any state, a fair and faultless run must end with everything wanted there, once, and nobody busy.

use crate::params::{Mistake, Params};
use crate::state::{ENGINES, Engine, Reign, State, Work};

/// Rounds within which it must be over: an expiry, two looks at each instance, two creates, with room to spare.
const ROUNDS: usize = 40;

impl State {
    pub(crate) fn converged(&self, params: &Params) -> bool {
        (0..params.instances)
            .all(|instance| self.rows[instance].settled() && self.world.objects[instance] == 1)
    }

    /// Converged, and nothing is on its way that could make a difference.
    pub(crate) fn at_rest(&self, params: &Params) -> bool {
        let replica = self.replica();
        let idle = |engine: &Engine| engine.call.is_none() && engine.replica == replica;
        let idle = self.engines.iter().all(idle);
        self.converged(params) && idle && self.reports.is_empty() && self.echoes.is_empty()
    }

    pub(crate) fn heals(&self, params: &Params) -> bool {
        let mut state = self.clone();
        (0..ROUNDS).any(|_| {
            state.heal_round(params);
            state.converged(params)
        })
    }

    fn heal_round(&mut self, params: &Params) {
        if self.reign == Reign::Cut {
            self.elect(params);
        }
        for proposal in std::mem::take(&mut self.proposals) {
            self.commit(params, proposal);
        }
        for engine in ENGINES {
            self.catch_up(params, engine);
            if self.engines[engine].incarnation == 0 && !self.engines[engine].asked {
                self.ask_to_register(engine);
            }
            self.heal_lease(params, engine);
            for instance in 0..params.instances {
                if self.may_begin(params, engine, instance) {
                    self.begin(engine, instance);
                }
                let call = self.engines[engine].call;
                if call.is_some_and(|call| self.accepts(params, call.instance, call.token)) {
                    if call.is_some_and(|call| call.answered.is_none()) {
                        self.land(engine);
                    }
                    self.end_call(params, engine);
                }
            }
        }
        // What only a process that is gone could send again does not come.
        for report in std::mem::take(&mut self.reports) {
            if report.kept {
                self.judge(params, report);
            }
        }
        for (instance, engine) in (0..params.instances).flat_map(|i| ENGINES.map(|e| (i, e))) {
            for work in [Work::Look, Work::Create] {
                if self.may_assign(params, instance, work, engine) {
                    self.assign(instance, work, engine);
                }
            }
        }
        self.tick(params, None);
        self.normalize(params);
    }

    fn heal_lease(&mut self, params: &Params, engine: usize) {
        if let Some(leader) = self.in_power()
            && self.would_answer(params, leader, engine)
        {
            self.heartbeat(leader, engine);
            self.hear(params, engine);
        }
        if self.expiry_is_due(params, engine) && !params.errs(Mistake::NoFullPeriodForNewLeader) {
            self.propose_expiry(engine);
        }
    }
}
