//! Everything that the model keeps: the replicated state, two engines, two leaders, what is on its way, the world.
//!
//! All time is relative (ticks left, ticks since), and log indexes matter by their order alone: they are numbered
//! anew after every step. So the number of states is finite without a bound on time or on the log.

use crate::params::{Faults, LEASE, Mistake, Params, SLOW_WINDOW};

pub(crate) const ENGINES: [usize; 2] = [0, 1];
pub(crate) const INSTANCES: [usize; 2] = [0, 1];

/// A log index, as incarnation or token; 0 is none.
pub(crate) type Index = u8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Work {
    Create,
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Assignment {
    pub(crate) engine: usize,
    pub(crate) incarnation: Index,
    pub(crate) token: Index,
    pub(crate) work: Work,
    /// Its engine is gone; a late report of it counts until a newer one is given.
    pub(crate) lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Observed {
    Absent,
    Unknown,
    Present,
}

/// An instance in the replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) observed: Observed,
    pub(crate) id_known: bool,
    /// A look has found nothing; the next one, after `doubt`, is final.
    pub(crate) seen_absent: bool,
    /// Ticks for which a lost call may still have an effect.
    pub(crate) doubt: u8,
    pub(crate) assignment: Option<Assignment>,
}

impl Row {
    /// Settled: there, and nothing runs on it.
    pub(crate) fn settled(&self) -> bool {
        self.observed == Observed::Present && self.flight().is_none()
    }

    pub(crate) fn flight(&self) -> Option<Assignment> {
        self.assignment.filter(|assignment| !assignment.lost)
    }
}

/// An engine in the replicated state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Registration {
    pub(crate) incarnation: Index,
    pub(crate) live: bool,
    /// The engine waits for the answer to just this registration.
    pub(crate) awaited: bool,
}

/// What a replica knows that an engine acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    pub(crate) registered: [Registration; 2],
    pub(crate) assigned: [Option<Assignment>; 2],
    pub(crate) settled: [bool; 2],
}

/// A heartbeat whose answer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Beat {
    /// Ticks of the engine's clock since it was sent.
    pub(crate) age: u8,
    /// What the answer says: how long ago a quorum had acknowledged the leader.
    pub(crate) quorum_age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) instance: usize,
    pub(crate) token: Index,
    pub(crate) work: Work,
    /// The provider has done it; a look found something, or nothing.
    pub(crate) answered: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Engine {
    /// The registration that it acts under.
    pub(crate) incarnation: Index,
    /// A registration is asked for; older ones than `floor` are not its answer.
    pub(crate) asked: bool,
    pub(crate) floor: Index,
    /// Ticks left on its own clock.
    pub(crate) lease: u8,
    pub(crate) since_slow: u8,
    pub(crate) beat: Option<Beat>,
    pub(crate) replica: Replica,
    pub(crate) begun: [Index; 2],
    pub(crate) call: Option<Call>,
}

/// A leader's table of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    pub(crate) incarnation: [Index; 2],
    pub(crate) since_renewed: [u8; 2],
    pub(crate) expiring: [bool; 2],
    pub(crate) quorum_age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reign {
    First,
    /// The first leader reaches no quorum any more, and does not know.
    Cut,
    Second,
}

/// On its way into the log. Assignments and reports are checked as they are applied, so for them nothing is lost
/// by proposing and applying in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Proposal {
    Expire {
        engine: usize,
        incarnation: Index,
    },
    Register {
        engine: usize,
        awaited: bool,
        /// The incarnation that it follows, as far as the engine's replica knew.
        after: Index,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Told {
    Made,
    NoVerdict,
    Found(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Report {
    pub(crate) instance: usize,
    pub(crate) token: Index,
    pub(crate) engine: usize,
    pub(crate) told: Told,
    /// Its engine still has it, and would send it again.
    pub(crate) kept: bool,
}

/// What a call that is over left on its way to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Echo {
    pub(crate) instance: usize,
    pub(crate) token: Index,
    /// Ticks left; 255 stands for ever.
    pub(crate) left: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) objects: [u8; 2],
    /// The largest token of an effect.
    pub(crate) newest: [Index; 2],
    /// The largest token that a fencing provider has seen.
    pub(crate) fence: [Index; 2],
}

/// What a step did that no step may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    TokenWentBack,
    CreatedWithoutRequired,
    LateReportChanged,
    CreatedOverUnknown,
}

/// What a run has to have come across, or it has shown nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Met {
    pub(crate) late_effect: bool,
    pub(crate) late_id: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) registered: [Registration; 2],
    pub(crate) rows: [Row; 2],
    pub(crate) engines: [Engine; 2],
    pub(crate) leaders: [Leader; 2],
    pub(crate) reign: Reign,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) reports: Vec<Report>,
    pub(crate) echoes: Vec<Echo>,
    pub(crate) world: World,
    pub(crate) left: Faults,
    pub(crate) wrong: Option<Wrong>,
    pub(crate) met: Met,
}

impl State {
    /// Both engines are registered, nothing is made, nobody holds a lease yet.
    pub(crate) fn first(params: &Params) -> Self {
        let registered = [1, 2].map(|incarnation| Registration {
            incarnation,
            live: true,
            awaited: false,
        });
        let row = Row {
            observed: Observed::Absent,
            id_known: false,
            seen_absent: false,
            doubt: 0,
            assignment: None,
        };
        let replica = Replica {
            registered,
            assigned: [None; 2],
            settled: [false; 2],
        };
        let engine = |incarnation| Engine {
            incarnation,
            asked: false,
            floor: 0,
            lease: 0,
            since_slow: SLOW_WINDOW,
            beat: None,
            replica,
            begun: [0; 2],
            call: None,
        };
        let leader = |incarnation| Leader {
            incarnation,
            since_renewed: [0; 2],
            expiring: [false; 2],
            quorum_age: 0,
        };
        Self {
            index: 2,
            registered,
            rows: [row; 2],
            engines: [engine(1), engine(2)],
            leaders: [leader([1, 2]), leader([0, 0])],
            reign: Reign::First,
            proposals: Vec::new(),
            reports: Vec::new(),
            echoes: Vec::new(),
            world: World::default(),
            left: params.faults,
            wrong: None,
            met: Met::default(),
        }
    }

    /// What a replica that has applied everything knows.
    pub(crate) fn replica(&self) -> Replica {
        Replica {
            registered: self.registered,
            assigned: self.rows.map(|row| row.flight()),
            settled: self.rows.map(|row| row.settled()),
        }
    }

    /// The leader that can commit.
    pub(crate) fn in_power(&self) -> Option<usize> {
        match self.reign {
            Reign::First => Some(0),
            Reign::Cut => None,
            Reign::Second => Some(1),
        }
    }

    /// Brings states that differ in nothing that matters to the same form.
    pub(crate) fn normalize(&mut self, params: &Params) {
        let replica = self.replica();
        for (number, engine) in self.engines.iter_mut().enumerate() {
            if params.steady(number) {
                engine.replica = replica;
            }
            if self.left.slow_ticks == 0 {
                engine.since_slow = 0;
            }
            if !engine.asked {
                engine.floor = 0;
            }
            // An answer that gives no more than is held will never give more.
            let (lease, exact) = (engine.lease, params.counts_leases_right());
            engine.beat = engine.beat.filter(|beat| {
                !exact || (beat.age + beat.quorum_age).saturating_add(lease) < LEASE
            });
            for instance in INSTANCES {
                let token = engine.replica.assigned[instance].map(|assigned| assigned.token);
                if token != Some(engine.begun[instance]) {
                    engine.begun[instance] = 0;
                }
            }
        }
        for leader in &mut self.leaders {
            for engine in ENGINES {
                let known = leader.incarnation[engine] != 0 && !params.steady(engine);
                if !known || self.left.expiries == 0 {
                    leader.since_renewed[engine] = 0;
                }
            }
        }
        let fence = self.world.fence;
        // What a fence keeps out never lands.
        self.echoes
            .retain(|echo| !params.provider_fences || echo.token >= fence[echo.instance]);
        let rows = self.rows;
        // A late report without an id says nothing, now or ever.
        self.reports.retain(|report| {
            let row = &rows[report.instance];
            let counts = row
                .assignment
                .is_some_and(|standing| standing.token == report.token);
            let tells = matches!(report.told, Told::Made | Told::Found(true));
            counts || tells || params.errs(Mistake::LateReportCounts)
        });
        if params.errs(Mistake::RegistrationNamesNobody) {
            for proposal in &mut self.proposals {
                if let Proposal::Register { after, .. } = proposal {
                    *after = 0;
                }
            }
        }
        self.proposals.sort();
        self.reports.sort();
        self.reports.dedup();
        self.echoes.sort();
        let mut used = [false; 256];
        used[0] = true;
        self.each_index(&mut |index| used[usize::from(*index)] = true);
        let mut rank = [0_u8; 256];
        let mut next = 0;
        for (index, used) in used.into_iter().enumerate() {
            rank[index] = next;
            next += u8::from(used);
        }
        self.each_index(&mut |index| *index = rank[usize::from(*index)]);
        self.index = next - 1;
    }

    /// Visits all indexes that are kept anywhere.
    fn each_index(&mut self, visit: &mut impl FnMut(&mut Index)) {
        let assignment = |assignment: &mut Option<Assignment>,
                          visit: &mut dyn FnMut(&mut Index)| {
            if let Some(assignment) = assignment {
                visit(&mut assignment.incarnation);
                visit(&mut assignment.token);
            }
        };
        for row in &mut self.rows {
            assignment(&mut row.assignment, visit);
        }
        for registration in &mut self.registered {
            visit(&mut registration.incarnation);
        }
        for engine in &mut self.engines {
            visit(&mut engine.incarnation);
            visit(&mut engine.floor);
            for registration in &mut engine.replica.registered {
                visit(&mut registration.incarnation);
            }
            for assigned in &mut engine.replica.assigned {
                assignment(assigned, visit);
            }
            engine.begun.iter_mut().for_each(&mut *visit);
            if let Some(call) = &mut engine.call {
                visit(&mut call.token);
            }
        }
        for leader in &mut self.leaders {
            leader.incarnation.iter_mut().for_each(&mut *visit);
        }
        for proposal in &mut self.proposals {
            match proposal {
                Proposal::Expire { incarnation, .. } => visit(incarnation),
                Proposal::Register { after, .. } => visit(after),
            }
        }
        for report in &mut self.reports {
            visit(&mut report.token);
        }
        for echo in &mut self.echoes {
            visit(&mut echo.token);
        }
        self.world.newest.iter_mut().for_each(&mut *visit);
        self.world.fence.iter_mut().for_each(&mut *visit);
    }
}
