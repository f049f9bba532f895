//! What the state machine makes of a log entry.

use crate::params::{DIES, Mistake, Params};
use crate::state::{
    Assignment, ENGINES, INSTANCES, Index, Observed, Proposal, Registration, Reign, Report, Row,
    State, Told, Work, Wrong,
};

impl State {
    fn next_index(&mut self) -> Index {
        self.index += 1;
        self.index
    }

    pub(crate) fn commit(&mut self, params: &Params, proposal: Proposal) {
        match proposal {
            Proposal::Expire {
                engine,
                incarnation,
            } => self.expire(params, engine, incarnation),
            Proposal::Register {
                engine,
                awaited,
                after,
            } => {
                let stale = self.registered[engine].incarnation != after;
                if stale && !params.errs(Mistake::RegistrationNamesNobody) {
                    self.engines[engine].asked &= !awaited;
                } else {
                    self.register(params, engine, awaited);
                }
            }
        }
        // Whoever is cut off does not learn that its entry was committed after all.
        if let Some(leader) = self.in_power() {
            self.tell_leader(leader);
        }
    }

    fn expire(&mut self, params: &Params, engine: usize, incarnation: Index) {
        let registered = self.registered[engine];
        let meant =
            registered.incarnation == incarnation || params.errs(Mistake::ExpiryOfAnyIncarnation);
        if meant && registered.live {
            self.next_index();
            self.lose_all(params, engine);
            self.registered[engine].live = false;
        }
    }

    fn register(&mut self, params: &Params, engine: usize, awaited: bool) {
        let incarnation = self.next_index();
        if !params.errs(Mistake::RegistrationEndsNothing) {
            self.lose_all(params, engine);
        }
        self.registered[engine] = Registration {
            incarnation,
            live: true,
            awaited,
        };
    }

    fn lose_all(&mut self, params: &Params, engine: usize) {
        for row in &mut self.rows {
            let held = row.flight().filter(|held| held.engine == engine);
            if let (Some(held), Some(assignment)) = (held, &mut row.assignment) {
                assignment.lost = true;
                if held.work == Work::Create {
                    becomes_unknown(params, row);
                }
            }
        }
    }

    /// The leader's table follows the engines of the state.
    pub(crate) fn tell_leader(&mut self, leader: usize) {
        for engine in ENGINES {
            let registered = self.registered[engine];
            let table = &mut self.leaders[leader];
            let incarnation = match registered.live {
                true => registered.incarnation,
                false => 0,
            };
            if table.incarnation[engine] != incarnation {
                table.incarnation[engine] = incarnation;
                table.since_renewed[engine] = 0;
                table.expiring[engine] = false;
            }
        }
    }

    /// Why the state machine would refuse an assignment; checked when it is applied and only then.
    pub(crate) fn may_assign(
        &self,
        params: &Params,
        instance: usize,
        work: Work,
        engine: usize,
    ) -> bool {
        let row = &self.rows[instance];
        if row.flight().is_some() || !self.registered[engine].live || self.reign == Reign::Cut {
            return false;
        }
        match work {
            Work::Look => row.observed == Observed::Unknown && (!row.seen_absent || row.doubt == 0),
            Work::Create => {
                let footing = instance == 0 || {
                    let required = &self.rows[0];
                    let unknown = required.observed == Observed::Unknown;
                    required.settled() || (params.errs(Mistake::RequiredMayBeUnknown) && unknown)
                };
                row.observed == Observed::Absent && footing
            }
        }
    }

    pub(crate) fn assign(&mut self, instance: usize, work: Work, engine: usize) {
        let token = self.next_index();
        let row = &mut self.rows[instance];
        if work == Work::Create && row.observed != Observed::Absent {
            self.wrong = Some(Wrong::CreatedOverUnknown);
        }
        row.assignment = Some(Assignment {
            engine,
            incarnation: self.registered[engine].incarnation,
            token,
            work,
            lost: false,
        });
    }

    /// Judges a report, and the judgement: one with an older token may only have brought an id.
    pub(crate) fn judge(&mut self, params: &Params, report: Report) {
        let before = self.rows;
        let standing = before[report.instance]
            .assignment
            .is_some_and(|standing| standing.token == report.token);
        self.next_index();
        let row = &mut self.rows[report.instance];
        if standing || params.errs(Mistake::LateReportCounts) {
            conclude(params, row, report.told);
        } else {
            late(row, report.told);
        }
        if standing {
            return;
        }
        for instance in INSTANCES {
            let (old, new) = (before[instance], self.rows[instance]);
            let id_kept = Row {
                observed: Observed::Unknown,
                id_known: true,
                seen_absent: false,
                ..old
            };
            let brought_id = !old.id_known && new == id_kept;
            self.met.late_id |= brought_id;
            if new != old && !brought_id {
                self.wrong = Some(Wrong::LateReportChanged);
            }
        }
    }
}

fn conclude(params: &Params, row: &mut Row, told: Told) {
    let work = row.assignment.take().map(|assignment| assignment.work);
    match told {
        Told::Made | Told::Found(true) => {
            *row = Row {
                observed: Observed::Present,
                id_known: true,
                seen_absent: false,
                doubt: 0,
                assignment: None,
            };
        }
        Told::NoVerdict if work == Some(Work::Look) => {}
        Told::NoVerdict => becomes_unknown(params, row),
        Told::Found(false) => {
            let certain =
                row.seen_absent || params.provider_fences || params.errs(Mistake::OneLookIsEnough);
            if certain {
                row.observed = Observed::Absent;
                row.seen_absent = false;
                row.doubt = 0;
            } else {
                row.seen_absent = true;
            }
        }
    }
}

fn late(row: &mut Row, told: Told) {
    if matches!(told, Told::Made | Told::Found(true)) && !row.id_known {
        row.id_known = true;
        row.observed = Observed::Unknown;
        row.seen_absent = false;
    }
}

fn becomes_unknown(params: &Params, row: &mut Row) {
    if params.errs(Mistake::UnknownAsAbsent) {
        row.observed = Observed::Absent;
        return;
    }
    if row.observed != Observed::Unknown {
        row.doubt = DIES;
    }
    row.observed = Observed::Unknown;
    row.seen_absent = false;
}
