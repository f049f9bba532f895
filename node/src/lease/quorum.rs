//! When a quorum last acknowledged this leader, on the clock that leases run on.
//!
//! Raft tells it as an `Instant`, which stands still while the machine sleeps. A leader that wakes must not take
//! an acknowledgement from before its sleep for a fresh one.

use std::time::Instant;

use super::clock::{BootTime, Moment};

/// Turns acknowledgements into moments that count suspend.
#[derive(Debug)]
pub struct QuorumClock {
    anchor: (Instant, BootTime),
    asleep_ms: u64,
    last: Option<(Instant, BootTime)>,
}

impl QuorumClock {
    /// A clock that was awake until now.
    pub fn new(now: Instant, boot_now: BootTime) -> Self {
        Self {
            anchor: (now, boot_now),
            asleep_ms: 0,
            last: None,
        }
    }

    /// The moment of an acknowledgement; never later than it was. All sleep since the last question is taken to
    /// have come after it.
    pub fn moment(&mut self, acknowledged: Instant, now: Instant, boot_now: BootTime) -> BootTime {
        let awake_ms = whole_ms(now.saturating_duration_since(self.anchor.0));
        let asleep_ms = boot_now.since_ms(self.anchor.1).saturating_sub(awake_ms);
        let slept_ms = asleep_ms.saturating_sub(self.asleep_ms);
        self.asleep_ms = asleep_ms.max(self.asleep_ms);
        if let Some((same, moment)) = self.last
            && same == acknowledged
        {
            return moment;
        }
        let age_ms = whole_ms(now.saturating_duration_since(acknowledged));
        let moment = boot_now.minus_ms(age_ms + slept_ms);
        self.last = Some((acknowledged, moment));
        moment
    }
}

fn whole_ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn boot(ms: u64) -> BootTime {
        BootTime { boot_ms: ms }
    }

    #[test]
    fn the_leader_sleeps_and_an_old_acknowledgement_stays_old() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut clock = QuorumClock::new(start, boot(1_000));
        let early = clock.moment(after(100), after(150), boot(1_150));
        assert_eq!(early, boot(1_100));
        // A minute asleep: the same acknowledgement, and one that came just before the sleep.
        assert_eq!(clock.moment(after(100), after(160), boot(61_160)), early);
        let mut clock = QuorumClock::new(start, boot(1_000));
        clock.moment(after(100), after(150), boot(1_150));
        let before_sleep = clock.moment(after(155), after(160), boot(61_160));
        assert!(before_sleep <= boot(1_155), "{before_sleep:?}");
        // The next one is fresh again.
        let fresh = clock.moment(after(300), after(310), boot(61_310));
        assert_eq!(fresh, boot(61_300));
    }
}
