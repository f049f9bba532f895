//! The rules: local and level-triggered. Each looks at the state as it is and says what follows; none
//! knows which command led there.

pub(crate) mod drift;
pub(crate) mod failure;
pub(crate) mod look;
pub(crate) mod make;
pub(crate) mod names;
pub(crate) mod placement;
pub(crate) mod reshape;
pub(crate) mod settle;
pub(crate) mod slots;
pub(crate) mod spread;
pub(crate) mod tell;
pub(crate) mod timeouts;
pub(crate) mod unmake;
pub(crate) mod unsettle;

use crate::outcome::WaitReason;
use crate::row::Action;

/// Where a piece of work stands, its stack's own stops aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is nothing to do.
    Nothing,
    /// It may start.
    Now(Action),
    /// It may start from this state time on.
    Later(Action, u64, WaitReason),
    /// It may not start.
    Waits(WaitReason),
}

impl Standing {
    /// May it start at this state time?
    pub(crate) fn at(self, state_ms: u64) -> Result<Action, WaitReason> {
        match self {
            Standing::Now(action) => Ok(action),
            Standing::Later(action, from_ms, _) if from_ms <= state_ms => Ok(action),
            Standing::Later(_, _, reason) | Standing::Waits(reason) => Err(reason),
            Standing::Nothing => Err(WaitReason::Settled),
        }
    }
}
