//! How many inline actions an engine may have at a time: enough to keep it busy, few enough that nobody waits long.
//!
//! Pure: time is an argument. Inline actions cost microseconds, so what passes between giving one and hearing of its end
//! is the way through the log and back, and queues along it. A queue that is always there serves nobody: what it holds of
//! one stack is what another has to wait for. As in TCP Vegas (Brakmo and Peterson 1995), how long the way is without queues
//! tells how much of what is given lies in them; as in BBR (Cardwell and others 2016), that is measured now and then with
//! next to nothing given.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Enough for one chunk; what is given while the way is measured.
const LEAST: u32 = 64;
/// Enough for the longest way that a cluster should have: some tenths of a second.
const MOST: u32 = 1_024;
/// How long the queue is that is kept: enough that nobody is ever idle, and all that another stack waits for.
const QUEUE: RangeInclusive<Duration> = Duration::from_millis(3)..=Duration::from_millis(9);
/// By how much the window grows in a round.
const GROWTH: u32 = 32;
/// By what part it shrinks in a round.
const SHRINKAGE: u32 = 8;
/// From one measurement of the way to the next.
const MEASURED_EVERY: Duration = Duration::from_secs(10);
/// Rounds that a measurement takes. In all but the last there may be results of what was given before it.
const MEASURING_ROUNDS: u32 = 3;

/// The window of one engine.
#[derive(Clone, Debug)]
pub(super) struct Window {
    size: u32,
    way: Way,
    round: Option<Round>,
    /// Something had to wait for room in this round.
    full: bool,
}

/// What is known of the way without queues.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// It is being measured, for so many rounds more.
    Measured {
        rounds: u32,
    },
    Known {
        way: Duration,
        until: Instant,
    },
}

/// Results in a row, for as long as one of them took.
#[derive(Clone, Copy, Debug)]
struct Round {
    began: Instant,
    /// What the fastest took: a queue that is gone for a moment is none.
    fastest: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: LEAST,
            way: Way::Measured { rounds: 1 },
            round: None,
            full: false,
        }
    }
}

impl Window {
    /// How many actions the engine may have.
    pub(super) fn size(&self) -> u32 {
        match self.way {
            Way::Measured { .. } => LEAST,
            Way::Known { .. } => self.size,
        }
    }

    /// The engine has as much as it may have.
    pub(super) fn filled(&mut self) {
        self.full = true;
    }

    /// An action that was given so long ago has ended now.
    pub(super) fn took(&mut self, took: Duration, now: Instant) {
        let round = self.round.get_or_insert(Round {
            began: now,
            fastest: took,
        });
        round.fastest = round.fastest.min(took);
        let Round { began, fastest } = *round;
        if now.saturating_duration_since(began) < fastest {
            return;
        }
        self.round = None;
        let full = std::mem::take(&mut self.full);
        self.way = match self.way {
            Way::Measured { rounds } if rounds > 1 => Way::Measured { rounds: rounds - 1 },
            Way::Measured { .. } => Way::Known {
                way: fastest,
                until: now + MEASURED_EVERY,
            },
            Way::Known { until, .. } if until <= now => Way::Measured {
                rounds: MEASURING_ROUNDS,
            },
            Way::Known { way, until } => {
                let way = way.min(fastest);
                self.size = adjusted(self.size, way, fastest, full);
                Way::Known { way, until }
            }
        };
    }
}

fn adjusted(size: u32, way: Duration, took: Duration, full: bool) -> u32 {
    let queue = took.saturating_sub(way);
    let next = if queue > *QUEUE.end() {
        size - size / SHRINKAGE
    } else if queue < *QUEUE.start() && full {
        size + GROWTH
    } else {
        size
    };
    next.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that is kept full, and what it takes.
    struct Engine {
        window: Window,
        now: Instant,
        took: Duration,
    }

    impl Engine {
        fn new() -> Self {
            Self {
                window: Window::default(),
                now: Instant::now(),
                took: Duration::ZERO,
            }
        }

        /// Behind a way of so long it carries so many actions a second, for so long.
        fn runs(&mut self, way_ms: u64, per_second: u32, seconds: u64) {
            let way = Duration::from_millis(way_ms);
            let end = self.now + Duration::from_secs(seconds);
            while self.now < end {
                // Little's law: what is in flight takes its time at that rate, and at least the way.
                self.took = way.max(Duration::from_secs(1) * self.window.size() / per_second);
                self.now += self.took / 8;
                self.window.filled();
                self.window.took(self.took, self.now);
            }
        }
    }

    #[test]
    fn a_slow_engine_gets_a_short_queue() {
        let mut engine = Engine::new();
        engine.runs(10, 2_000, 60);
        let size = engine.window.size();
        assert!(size < 150, "20 fill the way: {size}");
        assert!(engine.took < Duration::from_millis(75), "{:?}", engine.took);
    }

    #[test]
    fn a_long_way_is_kept_full() {
        let mut engine = Engine::new();
        engine.runs(50, 10_000, 9);
        let size = engine.window.size();
        assert!(size >= 500, "500 fill the way: {size}");
    }

    #[test]
    fn a_way_that_became_longer_is_learnt() {
        let mut engine = Engine::new();
        engine.runs(5, 10_000, 15);
        engine.runs(40, 10_000, 18);
        let size = engine.window.size();
        assert!(size >= 400, "400 fill the way: {size}");
    }

    #[test]
    fn what_is_not_filled_does_not_grow() {
        let mut window = Window::default();
        let mut now = Instant::now();
        for _ in 0..900 {
            now += Duration::from_millis(10);
            window.took(Duration::from_millis(10), now);
        }
        assert_eq!(window.size(), LEAST);
    }
}
