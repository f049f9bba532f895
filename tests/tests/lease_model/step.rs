//! The steps: everything that may happen next, in any order. An engine that pauses is one that does nothing for
//! some ticks, so it needs no step of its own; a message that is late or lost is one that does not come yet, or ever.

use crate::params::{DIES, LEASE, Mistake, Params, SLOW_WINDOW};
use crate::state::{
    Beat, Call, ENGINES, Echo, Index, Leader, Proposal, Reign, Report, State, Told, Work, Wrong,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Time passes; at most one engine's clock misses it.
    Tick {
        slow: Option<usize>,
    },
    /// A heartbeat is sent, and the leader says yes to it. One that takes longer to get there gives the engine less
    /// and the leader more to wait for, so nothing is lost by letting it arrive at once.
    Heartbeat {
        leader: usize,
        engine: usize,
    },
    /// The answer arrives, which may take as long as it likes.
    HearAnswer(usize),
    ProposeExpiry(usize),
    Commit(Proposal),
    CutOff,
    Elect,
    Assign {
        instance: usize,
        work: Work,
        engine: usize,
    },
    ApplyReport {
        report: Report,
        again: bool,
    },
    /// The engine's replica catches up with the log.
    CatchUp(usize),
    BeginCall {
        engine: usize,
        instance: usize,
    },
    /// The provider does it, or looks.
    Land(usize),
    EndCall(usize),
    BreakCall(usize),
    LandLate(Echo),
    Crash(usize),
    AskToRegister(usize),
}

impl State {
    pub(crate) fn steps(&self, params: &Params, steps: &mut Vec<Step>) {
        steps.push(Step::Tick { slow: None });
        for engine in ENGINES {
            self.steps_of_lease(params, engine, steps);
            self.steps_of_calls(params, engine, steps);
            for (instance, work) in
                (0..params.instances).flat_map(|i| [(i, Work::Create), (i, Work::Look)])
            {
                if self.may_assign(params, instance, work, engine) {
                    steps.push(Step::Assign {
                        instance,
                        work,
                        engine,
                    });
                }
            }
        }
        if self.reign == Reign::First && self.left.elections > 0 {
            steps.push(Step::CutOff);
        }
        if self.reign == Reign::Cut {
            steps.push(Step::Elect);
        }
        steps.extend(self.proposals.iter().copied().map(Step::Commit));
        if self.reign != Reign::Cut {
            for report in self.reports.iter().copied() {
                let again = false;
                steps.push(Step::ApplyReport { report, again });
                if self.left.doubled > 0 {
                    let again = true;
                    steps.push(Step::ApplyReport { report, again });
                }
            }
        }
        let lands = |echo: &&Echo| self.accepts(params, echo.instance, echo.token);
        steps.extend(
            self.echoes
                .iter()
                .filter(lands)
                .copied()
                .map(Step::LandLate),
        );
    }

    fn steps_of_lease(&self, params: &Params, engine: usize, steps: &mut Vec<Step>) {
        let it = &self.engines[engine];
        if self.left.slow_ticks > 0
            && it.since_slow >= SLOW_WINDOW
            && it.incarnation != 0
            && !params.steady(engine)
        {
            steps.push(Step::Tick { slow: Some(engine) });
        }
        for leader in [0, 1] {
            // Another one at the same moment would say the same.
            let fresh = it.beat.is_some_and(|beat| beat.age == 0);
            if !fresh && self.would_answer(params, leader, engine) {
                steps.push(Step::Heartbeat { leader, engine });
            }
        }
        if it.beat.is_some() {
            steps.push(Step::HearAnswer(engine));
        }
        if self.left.expiries > 0 && self.expiry_is_due(params, engine) {
            steps.push(Step::ProposeExpiry(engine));
        }
        if !params.steady(engine) && it.replica != self.replica() {
            steps.push(Step::CatchUp(engine));
        }
        if it.incarnation != 0 && self.left.crashes > 0 && !params.steady(engine) {
            steps.push(Step::Crash(engine));
        }
        if it.incarnation == 0 && (!it.asked || self.left.asked_again > 0) {
            steps.push(Step::AskToRegister(engine));
        }
    }

    fn steps_of_calls(&self, params: &Params, engine: usize, steps: &mut Vec<Step>) {
        for instance in 0..params.instances {
            if self.may_begin(params, engine, instance) {
                steps.push(Step::BeginCall { engine, instance });
            }
        }
        let Some(call) = self.engines[engine].call else {
            return;
        };
        match call.answered {
            Some(_) => steps.push(Step::EndCall(engine)),
            None if self.accepts(params, call.instance, call.token) => {
                steps.push(Step::Land(engine));
            }
            None => {}
        }
        if self.left.broken_calls > 0 {
            steps.push(Step::BreakCall(engine));
        }
    }

    pub(crate) fn take(&mut self, params: &Params, step: Step) {
        match step {
            Step::Tick { slow } => self.tick(params, slow),
            Step::Heartbeat { leader, engine } => self.heartbeat(leader, engine),
            Step::HearAnswer(engine) => self.hear(params, engine),
            Step::ProposeExpiry(engine) => {
                self.left.expiries -= 1;
                self.propose_expiry(engine);
            }
            Step::Commit(proposal) => {
                self.proposals.retain(|other| *other != proposal);
                self.commit(params, proposal);
            }
            Step::CutOff => {
                self.left.elections -= 1;
                self.reign = Reign::Cut;
            }
            Step::Elect => self.elect(params),
            Step::Assign {
                instance,
                work,
                engine,
            } => self.assign(instance, work, engine),
            Step::ApplyReport { report, again } => {
                if again {
                    self.left.doubled -= 1;
                } else {
                    self.reports.retain(|other| *other != report);
                }
                self.judge(params, report);
            }
            Step::CatchUp(engine) => self.catch_up(params, engine),
            Step::BeginCall { engine, instance } => self.begin(engine, instance),
            Step::Land(engine) => self.land(engine),
            Step::EndCall(engine) => self.end_call(params, engine),
            Step::BreakCall(engine) => {
                self.left.broken_calls -= 1;
                self.abort(params, engine, true);
            }
            Step::LandLate(echo) => {
                self.echoes.retain(|other| *other != echo);
                self.met.late_effect = true;
                self.effect(echo.instance, echo.token);
            }
            Step::Crash(engine) => self.crash(params, engine),
            Step::AskToRegister(engine) => {
                self.left.asked_again -= u8::from(self.engines[engine].asked);
                self.ask_to_register(engine);
            }
        }
        self.normalize(params);
    }

    pub(crate) fn tick(&mut self, params: &Params, slow: Option<usize>) {
        self.left.slow_ticks -= u8::from(slow.is_some());
        for row in &mut self.rows {
            row.doubt = row.doubt.saturating_sub(1);
        }
        for echo in &mut self.echoes {
            echo.left -= u8::from(echo.left != u8::MAX);
        }
        self.echoes.retain(|echo| echo.left > 0);
        if let Some(leader) = self.in_power() {
            for since in &mut self.leaders[leader].since_renewed {
                *since = (*since + 1).min(params.overdue());
            }
        }
        if self.reign != Reign::First {
            let age = &mut self.leaders[0].quorum_age;
            *age = (*age + 1).min(LEASE);
        }
        for engine in ENGINES {
            self.tick_engine(params, engine, slow == Some(engine));
        }
    }

    fn tick_engine(&mut self, params: &Params, engine: usize, slow: bool) {
        if params.steady(engine) {
            return;
        }
        let it = &mut self.engines[engine];
        if slow {
            it.since_slow = 0;
            return;
        }
        it.since_slow = (it.since_slow + 1).min(SLOW_WINDOW);
        if let Some(beat) = &mut it.beat {
            beat.age = (beat.age + 1).min(LEASE);
        }
        it.lease = it.lease.saturating_sub(1);
        if it.lease == 0 && it.call.is_some() && !params.errs(Mistake::SkipOwnLeaseCheck) {
            self.abort(params, engine, true);
        }
    }

    pub(crate) fn would_answer(&self, params: &Params, leader: usize, engine: usize) -> bool {
        let (incarnation, table) = (self.engines[engine].incarnation, &self.leaders[leader]);
        let known = incarnation != 0 && incarnation == table.incarnation[engine];
        let renews = !table.expiring[engine] || params.errs(Mistake::RenewAfterProposedExpiry);
        let sure = table.quorum_age < LEASE || params.errs(Mistake::NoQuorumCheck);
        known && renews && sure && !params.steady(engine)
    }

    pub(crate) fn heartbeat(&mut self, leader: usize, engine: usize) {
        let table = &mut self.leaders[leader];
        table.since_renewed[engine] = 0;
        self.engines[engine].beat = Some(Beat {
            age: 0,
            quorum_age: table.quorum_age,
        });
    }

    pub(crate) fn hear(&mut self, params: &Params, engine: usize) {
        let it = &mut self.engines[engine];
        let Some(beat) = it.beat.take() else { return };
        let age = match params.errs(Mistake::LeaseFromReceipt) {
            true => 0,
            false => beat.age,
        };
        let quorum_age = match params.errs(Mistake::NoQuorumCheck) {
            true => 0,
            false => beat.quorum_age,
        };
        it.lease = it.lease.max(LEASE.saturating_sub(age + quorum_age));
    }

    pub(crate) fn expiry_is_due(&self, params: &Params, engine: usize) -> bool {
        self.in_power().is_some_and(|leader| {
            let table = &self.leaders[leader];
            table.incarnation[engine] != 0
                && !params.steady(engine)
                && !table.expiring[engine]
                && table.since_renewed[engine] >= params.overdue()
        })
    }

    pub(crate) fn propose_expiry(&mut self, engine: usize) {
        if let Some(leader) = self.in_power() {
            let table = &mut self.leaders[leader];
            table.expiring[engine] = true;
            let incarnation = table.incarnation[engine];
            self.proposals.push(Proposal::Expire {
                engine,
                incarnation,
            });
        }
    }

    /// The other leader takes over. What the first one had proposed and not committed by now is lost.
    pub(crate) fn elect(&mut self, params: &Params) {
        self.reign = Reign::Second;
        for proposal in std::mem::take(&mut self.proposals) {
            if let Proposal::Register {
                engine, awaited, ..
            } = proposal
            {
                self.engines[engine].asked &= !awaited;
            }
        }
        let since = match params.errs(Mistake::NoFullPeriodForNewLeader) {
            true => params.overdue(),
            false => 0,
        };
        self.leaders[1] = Leader {
            incarnation: [0; 2],
            since_renewed: [0; 2],
            expiring: [false; 2],
            quorum_age: 0,
        };
        self.tell_leader(1);
        self.leaders[1].since_renewed = [since; 2];
    }

    pub(crate) fn may_begin(&self, params: &Params, engine: usize, instance: usize) -> bool {
        let it = &self.engines[engine];
        let leased =
            it.lease > 0 || params.steady(engine) || params.errs(Mistake::SkipOwnLeaseCheck);
        let mine = it.replica.assigned[instance].is_some_and(|assigned| {
            let footing = assigned.work == Work::Look
                || instance == 0
                || it.replica.settled[0]
                || params.errs(Mistake::RequiredMayBeUnknown);
            assigned.engine == engine
                && assigned.incarnation == it.incarnation
                && assigned.token != it.begun[instance]
                && footing
        });
        it.incarnation != 0 && it.call.is_none() && leased && mine
    }

    pub(crate) fn begin(&mut self, engine: usize, instance: usize) {
        let it = &mut self.engines[engine];
        if let Some(assigned) = it.replica.assigned[instance] {
            it.begun[instance] = assigned.token;
            it.call = Some(Call {
                instance,
                token: assigned.token,
                work: assigned.work,
                answered: None,
            });
        }
    }

    /// Whether the provider takes a call with this token.
    pub(crate) fn accepts(&self, params: &Params, instance: usize, token: Index) -> bool {
        !params.provider_fences || token >= self.world.fence[instance]
    }

    pub(crate) fn land(&mut self, engine: usize) {
        let Some(call) = self.engines[engine].call else {
            return;
        };
        let world = &mut self.world;
        world.fence[call.instance] = world.fence[call.instance].max(call.token);
        let found = world.objects[call.instance] > 0;
        if call.work == Work::Create {
            self.effect(call.instance, call.token);
        }
        self.engines[engine].call = Some(Call {
            answered: Some(found || call.work == Work::Create),
            ..call
        });
    }

    /// Something is made; keys are not honoured, so twice makes two.
    fn effect(&mut self, instance: usize, token: Index) {
        let world = &mut self.world;
        world.objects[instance] = (world.objects[instance] + 1).min(2);
        if token < world.newest[instance] {
            self.wrong = Some(Wrong::TokenWentBack);
        }
        if instance == 1 && world.objects[0] == 0 {
            self.wrong = Some(Wrong::CreatedWithoutRequired);
        }
        world.newest[instance] = world.newest[instance].max(token);
    }

    pub(crate) fn end_call(&mut self, params: &Params, engine: usize) {
        if let Some(call) = self.engines[engine].call.take() {
            let told = match (call.work, call.answered) {
                (Work::Create, Some(_)) => Told::Made,
                (Work::Look, Some(found)) => Told::Found(found),
                (_, None) => Told::NoVerdict,
            };
            self.report(params, engine, call, told);
        }
    }

    /// The call is over without a verdict; what it asked for and was not done yet may be on its way.
    fn abort(&mut self, params: &Params, engine: usize, told: bool) {
        let Some(call) = self.engines[engine].call.take() else {
            return;
        };
        if call.work == Work::Create && call.answered.is_none() {
            self.echoes.push(Echo {
                instance: call.instance,
                token: call.token,
                left: match params.effects_outlive_lease {
                    true => u8::MAX,
                    false => DIES,
                },
            });
        }
        if told {
            self.report(params, engine, call, Told::NoVerdict);
        }
    }

    fn report(&mut self, params: &Params, engine: usize, call: Call, told: Told) {
        self.reports.push(Report {
            instance: call.instance,
            token: call.token,
            engine,
            told,
            kept: !params.errs(Mistake::ReportSentOnce),
        });
    }

    pub(crate) fn catch_up(&mut self, params: &Params, engine: usize) {
        self.engines[engine].replica = self.replica();
        let it = &mut self.engines[engine];
        let registered = it.replica.registered[engine];
        if it.incarnation != 0 && (registered.incarnation != it.incarnation || !registered.live) {
            // The registration is over, and with it everything under it, before a new one is asked for.
            it.incarnation = 0;
            it.lease = 0;
            it.beat = None;
            self.abort(params, engine, true);
        } else if it.asked && registered.awaited && registered.incarnation > it.floor {
            it.asked = false;
            it.incarnation = registered.incarnation;
        } else if it.asked && !self.awaits(engine) {
            // It was answered, and an older one has overtaken it since: it is to be asked for once more.
            self.engines[engine].asked = false;
        }
    }

    fn awaits(&self, engine: usize) -> bool {
        self.proposals.iter().any(|proposal| {
            matches!(proposal, Proposal::Register { engine: of, awaited: true, .. } if *of == engine)
        })
    }

    fn crash(&mut self, params: &Params, engine: usize) {
        self.left.crashes -= 1;
        self.abort(params, engine, false);
        for report in self
            .reports
            .iter_mut()
            .filter(|report| report.engine == engine)
        {
            report.kept = false;
        }
        let it = &mut self.engines[engine];
        it.incarnation = 0;
        it.asked = false;
        it.lease = 0;
        it.beat = None;
        it.begun = [0; 2];
    }

    pub(crate) fn ask_to_register(&mut self, engine: usize) {
        for proposal in &mut self.proposals {
            if let Proposal::Register {
                engine: of,
                awaited,
                ..
            } = proposal
            {
                *awaited &= *of != engine;
            }
        }
        self.engines[engine].asked = true;
        self.engines[engine].floor = self.index;
        self.proposals.push(Proposal::Register {
            engine,
            awaited: true,
            after: self.engines[engine].replica.registered[engine].incarnation,
        });
    }
}
