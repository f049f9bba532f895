//! How the cloud is told to behave: what goes wrong, and how often.

use serde::{Deserialize, Serialize};

use crate::Chance;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The effect and the answer come late, yet in time.
    Slow,
    /// 500, and nothing was done.
    FailBefore,
    /// 500, though it was done.
    FailAfter,
    /// 429, and nothing was done.
    Throttle,
    /// No answer ever, and nothing was done.
    Hang,
    /// No answer ever, and it is done some time after the caller has given up.
    LandLate,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Slow,
        Self::FailBefore,
        Self::FailAfter,
        Self::Throttle,
        Self::Hang,
        Self::LandLate,
    ];
}

/// How often what goes wrong, in thousandths of all calls, and what is honoured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// The draws.
    pub seed: u64,
    /// [`Fault::Slow`].
    pub slow: u64,
    /// [`Fault::FailBefore`].
    pub fail_before: u64,
    /// [`Fault::FailAfter`].
    pub fail_after: u64,
    /// [`Fault::Throttle`].
    pub throttle: u64,
    /// [`Fault::Hang`].
    pub hang: u64,
    /// [`Fault::LandLate`]; only calls that carry a fencing token, for nothing else promises anything then.
    pub land_late: u64,
    /// How long a slow call takes at most. Milliseconds.
    pub slow_ms: u64,
    /// How long after its coming a late call lands. Milliseconds.
    pub late_ms: u64,
    /// Every call takes this long. Milliseconds.
    pub pace_ms: u64,
    /// One effect per idempotency key.
    pub honours_keys: bool,
    /// Refuses fencing tokens that are smaller than one seen.
    pub fences: bool,
}

impl Behaviour {
    /// Nothing goes wrong.
    pub fn good() -> Self {
        Self {
            seed: 0,
            slow: 0,
            fail_before: 0,
            fail_after: 0,
            throttle: 0,
            hang: 0,
            land_late: 0,
            slow_ms: 500,
            late_ms: 5_000,
            pace_ms: 0,
            honours_keys: true,
            fences: true,
        }
    }

    /// Bad days of all kinds.
    pub fn bad(seed: u64) -> Self {
        Self {
            seed,
            slow: 60,
            fail_before: 25,
            fail_after: 35,
            throttle: 25,
            hang: 10,
            land_late: 20,
            pace_ms: 100,
            ..Self::good()
        }
    }

    /// It heeds neither keys nor tokens, and much lands late.
    #[must_use]
    pub fn careless(self) -> Self {
        Self {
            land_late: 120,
            honours_keys: false,
            fences: false,
            ..self
        }
    }

    /// What goes wrong with the next call.
    pub fn draw(&self, chance: &mut Chance) -> Option<Fault> {
        let mut drawn = chance.between(0, 1000);
        for (fault, often) in [
            (Fault::Slow, self.slow),
            (Fault::FailBefore, self.fail_before),
            (Fault::FailAfter, self.fail_after),
            (Fault::Throttle, self.throttle),
            (Fault::Hang, self.hang),
            (Fault::LandLate, self.land_late),
        ] {
            if drawn < often {
                return Some(fault);
            }
            drawn -= often;
        }
        None
    }
}
