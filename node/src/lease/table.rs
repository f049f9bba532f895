//! The leader's side of leases: which to renew, and which engines to expire.
//!
//! Pure: moments are arguments, decisions are values. Knows nothing of streams, and nothing of what an
//! engine does. Only engines that the replicated state has as alive are in the table.

use std::collections::BTreeMap;

use super::clock::{BootTime, Moment};

/// How leases are kept, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How often an engine speaks up.
    pub heartbeat_ms: u64,
    /// How long one answer lets it act.
    pub lease_ms: u64,
    /// What the leader waits beyond that: clocks of two machines do not run at quite the same rate.
    pub margin_ms: u64,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self {
            heartbeat_ms: 1_000,
            lease_ms: 5_000,
            margin_ms: 1_000,
        }
    }
}

/// What a heartbeat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// How far the engine's replica is.
    pub applied_index: u64,
    /// Provider calls under way.
    pub running: u32,
    /// It takes nothing new.
    pub draining: bool,
}

/// How sure the leader is of its leadership when a heartbeat comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last entry that the leader's own replica has applied.
    pub applied_index: u64,
    /// When a quorum last acknowledged it.
    pub quorum_at: Option<BootTime>,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The lease goes on.
    Renewed {
        /// For how long.
        lease_ms: u64,
        /// How long ago the quorum spoke.
        quorum_age_ms: u64,
    },
    /// It does not.
    Refused(Refusal),
}

/// Why a lease is not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its expiry is proposed and may be in force on other replicas already.
    #[error("the engine's expiry is proposed")]
    Expiring,
    /// It can not see assignments, nor that they are revoked.
    #[error("the engine's applied index stands still")]
    StandingStill,
    /// This leader may have been deposed without knowing it.
    #[error("no quorum has acknowledged this leader for a lease")]
    NoQuorum,
    /// The leader's state has another incarnation of it, or none.
    #[error("this incarnation is not registered")]
    NotRegistered,
}

/// How an engine stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseView {
    /// It may act.
    Live,
    /// It may act, and takes nothing new.
    Draining,
    /// It may not act, as far as the leader knows.
    Expired,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    renewed_at: BootTime,
    applied_index: u64,
    /// When its applied index last rose, or was the leader's own.
    moved_at: BootTime,
    draining: bool,
    /// Its expiry was proposed once: whatever became of the proposal, it is renewed no more.
    expiring: bool,
    /// A proposal to expire it is under way.
    proposed: bool,
}

/// The leases of one leadership. `E` names an engine with its incarnation.
#[derive(Debug)]
pub struct LeaseTable<E> {
    settings: LeaseSettings,
    began: BootTime,
    held: BTreeMap<E, Held>,
}

impl<E: Ord + Copy> LeaseTable<E> {
    /// A table for a leader that applied the first entry of its own term at `began`.
    pub fn new(settings: LeaseSettings, began: BootTime) -> Self {
        Self {
            settings,
            began,
            held: BTreeMap::new(),
        }
    }

    /// Takes in which engines the state has as alive. One that is new gets a full period. Says whether any is new.
    pub fn registered(&mut self, engines: impl IntoIterator<Item = E>, now: BootTime) -> bool {
        let mut held = BTreeMap::new();
        let mut any_new = false;
        for engine in engines {
            any_new |= !self.held.contains_key(&engine);
            let entry = self.held.get(&engine).copied().unwrap_or(Held {
                renewed_at: now,
                applied_index: 0,
                moved_at: now,
                draining: false,
                expiring: false,
                proposed: false,
            });
            held.insert(engine, entry);
        }
        self.held = held;
        any_new
    }

    /// Decides on a heartbeat.
    pub fn heartbeat(
        &mut self,
        engine: E,
        beat: Beat,
        standing: Standing,
        now: BootTime,
    ) -> Verdict {
        let lease_ms = self.settings.lease_ms;
        let Some(held) = self.held.get_mut(&engine) else {
            return Verdict::Refused(Refusal::NotRegistered);
        };
        if held.expiring {
            return Verdict::Refused(Refusal::Expiring);
        }
        held.draining = beat.draining;
        if beat.applied_index > held.applied_index || beat.applied_index >= standing.applied_index {
            held.applied_index = beat.applied_index;
            held.moved_at = now;
        }
        if now.since_ms(held.moved_at) >= lease_ms {
            return Verdict::Refused(Refusal::StandingStill);
        }
        match standing.quorum_at {
            Some(quorum_at) if quorum_at >= self.began && now.since_ms(quorum_at) < lease_ms => {
                held.renewed_at = now;
                Verdict::Renewed {
                    lease_ms,
                    quorum_age_ms: now.since_ms(quorum_at),
                }
            }
            _ => Verdict::Refused(Refusal::NoQuorum),
        }
    }

    /// The engines to expire now. Each is renewed no more and is named once.
    pub fn expire_due(&mut self, now: BootTime) -> Vec<E> {
        let mut due = Vec::new();
        for (engine, held) in &mut self.held {
            if !held.proposed && Self::overdue_at(&self.settings, self.began, held) <= now {
                held.expiring = true;
                held.proposed = true;
                due.push(*engine);
            }
        }
        due
    }

    /// The proposal to expire it came to no known end: it is named again. It is not renewed in between
    /// either, as the proposal may yet turn out to be committed.
    pub fn expire_again(&mut self, engine: E) {
        if let Some(held) = self.held.get_mut(&engine) {
            held.proposed = false;
        }
    }

    /// Whoever carried proposals on is gone: all that were under way are named again.
    pub fn expire_all_again(&mut self) {
        self.held
            .values_mut()
            .for_each(|held| held.proposed = false);
    }

    /// When to ask for the due ones next.
    pub fn next_due(&self) -> Option<BootTime> {
        self.held
            .values()
            .filter(|held| !held.proposed)
            .map(|held| Self::overdue_at(&self.settings, self.began, held))
            .min()
    }

    /// Whether an engine may be given work.
    pub fn takes_work(&self, engine: &E, now: BootTime) -> bool {
        self.view(engine, now) == LeaseView::Live
    }

    /// How an engine stands.
    pub fn view(&self, engine: &E, now: BootTime) -> LeaseView {
        match self.held.get(engine) {
            Some(held) if !held.expiring && now < self.lapses_at(held) => {
                if held.draining {
                    LeaseView::Draining
                } else {
                    LeaseView::Live
                }
            }
            _ => LeaseView::Expired,
        }
    }

    fn lapses_at(&self, held: &Held) -> BootTime {
        held.renewed_at
            .max(self.began)
            .plus_ms(self.settings.lease_ms)
    }

    fn overdue_at(settings: &LeaseSettings, began: BootTime, held: &Held) -> BootTime {
        held.renewed_at
            .max(began)
            .plus_ms(settings.lease_ms + settings.margin_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 10_000;

    fn at(ms: u64) -> BootTime {
        BootTime { boot_ms: ms }
    }

    fn table() -> LeaseTable<u64> {
        let mut table = LeaseTable::new(LeaseSettings::default(), at(BEGAN));
        table.registered([1, 2], at(BEGAN));
        table
    }

    fn beat(applied_index: u64) -> Beat {
        Beat {
            applied_index,
            running: 0,
            draining: false,
        }
    }

    fn sure(applied_index: u64, quorum_ms: u64) -> Standing {
        Standing {
            applied_index,
            quorum_at: Some(at(quorum_ms)),
        }
    }

    #[test]
    fn a_silent_engine_is_expired_after_lease_and_margin_and_named_once() {
        let mut table = table();
        table.heartbeat(1, beat(5), sure(5, 12_000), at(12_000));
        assert_eq!(table.expire_due(at(15_999)), Vec::<u64>::new());
        assert_eq!(table.expire_due(at(16_000)), vec![2]);
        assert_eq!(table.expire_due(at(17_999)), Vec::<u64>::new());
        assert_eq!(table.expire_due(at(18_000)), vec![1]);
        assert_eq!(table.expire_due(at(60_000)), Vec::<u64>::new());
    }

    #[test]
    fn from_the_proposal_of_an_expiry_nothing_renews_it() {
        let mut table = table();
        assert_eq!(table.expire_due(at(16_000)), vec![1, 2]);
        let verdict = table.heartbeat(1, beat(9), sure(9, 16_001), at(16_001));
        assert_eq!(verdict, Verdict::Refused(Refusal::Expiring));
    }

    #[test]
    fn a_failed_expiry_is_proposed_again_and_not_taken_back() {
        let mut table = table();
        table.heartbeat(1, beat(5), sure(5, 12_000), at(12_000));
        assert_eq!(table.expire_due(at(18_000)), vec![1, 2]);
        table.expire_again(1);
        let verdict = table.heartbeat(1, beat(9), sure(9, 18_000), at(18_000));
        assert_eq!(verdict, Verdict::Refused(Refusal::Expiring));
        assert_eq!(table.expire_due(at(18_001)), vec![1]);
    }

    #[test]
    fn an_engine_whose_replica_stands_still_is_renewed_no_more() {
        let mut table = table();
        assert!(matches!(
            table.heartbeat(1, beat(5), sure(7, 10_500), at(10_500)),
            Verdict::Renewed { .. }
        ));
        assert!(matches!(
            table.heartbeat(1, beat(5), sure(9, 14_000), at(14_000)),
            Verdict::Renewed { .. }
        ));
        let verdict = table.heartbeat(1, beat(5), sure(9, 15_600), at(15_600));
        assert_eq!(verdict, Verdict::Refused(Refusal::StandingStill));
        let verdict = table.heartbeat(1, beat(6), sure(9, 15_700), at(15_700));
        assert!(matches!(verdict, Verdict::Renewed { .. }), "it moves again");
    }

    #[test]
    fn an_idle_cluster_is_no_engine_standing_still() {
        let mut table = table();
        for second in 11..100 {
            let now = second * 1_000;
            let verdict = table.heartbeat(1, beat(5), sure(5, now), at(now));
            assert!(matches!(verdict, Verdict::Renewed { .. }), "at {now}");
        }
    }

    #[test]
    fn a_leader_cut_off_from_its_quorum_renews_for_what_is_left_and_then_nothing() {
        let mut table = table();
        let verdict = table.heartbeat(1, beat(5), sure(5, 11_000), at(14_000));
        assert_eq!(
            verdict,
            Verdict::Renewed {
                lease_ms: 5_000,
                quorum_age_ms: 3_000
            }
        );
        let verdict = table.heartbeat(1, beat(5), sure(5, 11_000), at(16_000));
        assert_eq!(verdict, Verdict::Refused(Refusal::NoQuorum));
    }

    #[test]
    fn an_acknowledgement_from_before_the_own_term_entry_does_not_count() {
        let mut table = table();
        let verdict = table.heartbeat(1, beat(5), sure(5, BEGAN - 1), at(10_001));
        assert_eq!(verdict, Verdict::Refused(Refusal::NoQuorum));
    }

    #[test]
    fn a_new_leader_gives_every_lease_a_full_period() {
        let table = table();
        assert_eq!(table.next_due(), Some(at(BEGAN + 6_000)));
    }

    #[test]
    fn a_new_incarnation_starts_over_and_the_old_one_is_unknown() {
        let mut table = table();
        table.registered([3, 2], at(12_000));
        let verdict = table.heartbeat(1, beat(5), sure(5, 12_001), at(12_001));
        assert_eq!(verdict, Verdict::Refused(Refusal::NotRegistered));
        assert_eq!(table.view(&3, at(12_001)), LeaseView::Live);
        assert_eq!(table.view(&1, at(12_001)), LeaseView::Expired);
    }

    #[test]
    fn a_draining_engine_is_shown_and_given_nothing() {
        let mut table = table();
        let leaving = Beat {
            draining: true,
            ..beat(5)
        };
        table.heartbeat(1, leaving, sure(5, 11_000), at(11_000));
        assert_eq!(table.view(&1, at(11_500)), LeaseView::Draining);
        assert!(!table.takes_work(&1, at(11_500)));
    }

    #[test]
    fn a_dispatcher_that_begins_anew_renews_nobody_whose_expiry_was_proposed() {
        let mut table = table();
        let over = at(BEGAN + 60_000);
        assert_eq!(table.expire_due(over), [1, 2]);
        table.expire_all_again();
        let standing = Standing {
            applied_index: 5,
            quorum_at: Some(over),
        };
        let verdict = table.heartbeat(1, beat(5), standing, over);
        assert_eq!(verdict, Verdict::Refused(Refusal::Expiring));
        assert_eq!(table.expire_due(over), [1, 2], "they are named again");
    }
}
