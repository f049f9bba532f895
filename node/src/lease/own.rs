//! The engine's side of its lease: when it ends, as far as this engine may believe.
//!
//! Pure arithmetic. Knows nothing of streams or of what runs under the lease. The lease runs from the
//! earlier of the heartbeat's sending and the leader's last quorum acknowledgement: neither a slow answer
//! nor a leader that has been deposed without knowing it can make it longer.

use std::collections::VecDeque;

use super::clock::{BootTime, Moment};

/// Heartbeats whose answers are still waited for, at most; an answer to an older one is ignored.
const MAX_UNANSWERED: usize = 64;

/// What a leader's yes to a heartbeat says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Which heartbeat is answered.
    pub sequence: u64,
    /// For how long the lease is given.
    pub lease_ms: u64,
    /// How long before the heartbeat came a quorum had last acknowledged the leader.
    pub quorum_age_ms: u64,
    /// The leader's state time when it answered.
    pub state_time_ms: u64,
}

/// The lease that this engine holds, or does not.
#[derive(Debug, Default)]
pub struct OwnLease {
    last_sequence: u64,
    unanswered: VecDeque<(u64, BootTime)>,
    end: Option<BootTime>,
    /// A state time and a moment before which it had not been reached.
    state_time: Option<(u64, BootTime)>,
}

impl OwnLease {
    /// Notes that a heartbeat is sent now; returns its sequence.
    pub fn sending(&mut self, now: BootTime) -> u64 {
        self.last_sequence += 1;
        self.unanswered.push_back((self.last_sequence, now));
        if self.unanswered.len() > MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.last_sequence
    }

    /// Takes a renewal; returns the new end if it moved. The end never moves back.
    pub fn renewed(&mut self, renewal: Renewal) -> Option<BootTime> {
        let position = self
            .unanswered
            .iter()
            .position(|(sequence, _)| *sequence == renewal.sequence)?;
        let (_, sent) = self.unanswered.drain(..=position).next_back()?;
        self.state_time = Some((renewal.state_time_ms, sent));
        let end = sent
            .minus_ms(renewal.quorum_age_ms)
            .plus_ms(renewal.lease_ms);
        if self.end.is_some_and(|old| old >= end) {
            return None;
        }
        self.end = Some(end);
        Some(end)
    }

    /// Gives the lease up: it is known to be over, or about to be.
    pub fn surrender(&mut self) {
        self.end = None;
        self.unanswered.clear();
    }

    /// The moment from which this engine must not act any more.
    pub fn end(&self) -> Option<BootTime> {
        self.end
    }

    /// Whether this engine may act.
    pub fn holds(&self, now: BootTime) -> bool {
        self.end.is_some_and(|end| now < end)
    }

    /// The moment by which state time may have reached `state_time_ms`, none before the first renewal.
    /// It is never late: state time runs no faster than the clock, and slower across a change of leader.
    pub fn moment_of(&self, state_time_ms: u64) -> Option<BootTime> {
        let (known_ms, sent) = self.state_time?;
        Some(sent.plus_ms(state_time_ms.saturating_sub(known_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE_MS: u64 = 5_000;

    fn at(ms: u64) -> BootTime {
        BootTime { boot_ms: ms }
    }

    fn renewal(sequence: u64) -> Renewal {
        Renewal {
            sequence,
            lease_ms: LEASE_MS,
            quorum_age_ms: 0,
            state_time_ms: 100,
        }
    }

    #[test]
    fn the_lease_runs_from_the_sending_however_late_the_answer() {
        let mut lease = OwnLease::default();
        assert!(!lease.holds(at(0)), "no answer, no lease");
        let beat = lease.sending(at(1_000));
        assert_eq!(lease.renewed(renewal(beat)), Some(at(6_000)));
        assert!(lease.holds(at(5_999)));
        assert!(!lease.holds(at(6_000)));
    }

    #[test]
    fn an_old_acknowledgement_by_the_quorum_shortens_it() {
        let mut lease = OwnLease::default();
        let beat = lease.sending(at(10_000));
        let end = lease.renewed(Renewal {
            quorum_age_ms: 1_500,
            ..renewal(beat)
        });
        assert_eq!(end, Some(at(13_500)));
    }

    #[test]
    fn answers_out_of_order_or_twice_never_move_the_end_back() {
        let mut lease = OwnLease::default();
        let first = lease.sending(at(1_000));
        let second = lease.sending(at(2_000));
        assert_eq!(lease.renewed(renewal(second)), Some(at(7_000)));
        assert_eq!(lease.renewed(renewal(first)), None);
        assert_eq!(lease.renewed(renewal(second)), None);
        assert_eq!(lease.end(), Some(at(7_000)));
    }

    #[test]
    fn an_answer_to_no_heartbeat_of_ours_gives_nothing() {
        let mut lease = OwnLease::default();
        assert_eq!(lease.renewed(renewal(7)), None);
        let beat = lease.sending(at(1_000));
        lease.surrender();
        assert_eq!(lease.renewed(renewal(beat)), None);
        assert!(!lease.holds(at(1_001)));
    }

    #[test]
    fn a_state_time_is_never_believed_to_be_later_than_it_is() {
        let mut lease = OwnLease::default();
        assert_eq!(lease.moment_of(100), None);
        let beat = lease.sending(at(1_000));
        lease.renewed(renewal(beat));
        // The leader said "100" at some moment after 1,000.
        assert_eq!(lease.moment_of(600), Some(at(1_500)));
        assert_eq!(lease.moment_of(50), Some(at(1_000)), "it has passed");
    }
}
