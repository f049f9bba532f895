//! Phases, counts and the status of a stack, with the words that listings show.

use crate::state::{Stack, State};

/// Where a resource stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Something else comes first.
    Waiting,
    /// It could start now.
    Ready,
    /// An action on its current instance runs.
    InFlight,
    /// It is as it should be.
    Settled,
    /// It is not tried again by itself.
    Failed,
    /// A person must decide.
    OnHold,
    /// It should not be any more, and something of it is left.
    Unwanted,
}

impl Phase {
    /// The word that listings show.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Ready => "ready",
            Phase::InFlight => "in_flight",
            Phase::Settled => "settled",
            Phase::Failed => "failed",
            Phase::OnHold => "on_hold",
            Phase::Unwanted => "unwanted",
        }
    }
}

/// Resources per phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// See [`Phase::Waiting`].
    pub waiting: u64,
    /// See [`Phase::Ready`].
    pub ready: u64,
    /// See [`Phase::InFlight`].
    pub in_flight: u64,
    /// See [`Phase::Settled`].
    pub settled: u64,
    /// See [`Phase::Failed`].
    pub failed: u64,
    /// See [`Phase::OnHold`].
    pub on_hold: u64,
    /// See [`Phase::Unwanted`].
    pub unwanted: u64,
}

impl Counts {
    /// The sum over all phases.
    pub fn total(&self) -> u64 {
        self.waiting
            + self.ready
            + self.in_flight
            + self.settled
            + self.failed
            + self.on_hold
            + self.unwanted
    }

    pub(crate) fn of_mut(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            Phase::Waiting => &mut self.waiting,
            Phase::Ready => &mut self.ready,
            Phase::InFlight => &mut self.in_flight,
            Phase::Settled => &mut self.settled,
            Phase::Failed => &mut self.failed,
            Phase::OnHold => &mut self.on_hold,
            Phase::Unwanted => &mut self.unwanted,
        }
    }
}

/// Where a stack stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Something runs or can still run.
    Converging,
    /// All is as declared, and nothing is left to delete.
    Converged,
    /// Nothing can move.
    Failed,
    /// Nothing new starts.
    Paused,
    /// Everything is to go.
    Deleting,
    /// It is gone. (Only in answers about a stack that is no more.)
    Deleted,
}

impl Status {
    /// The word that listings show.
    pub fn word(self) -> &'static str {
        match self {
            Status::Converging => "converging",
            Status::Converged => "converged",
            Status::Failed => "failed",
            Status::Paused => "paused",
            Status::Deleting => "deleting",
            Status::Deleted => "deleted",
        }
    }
}

/// The status of a stack, a function of the state alone.
pub(crate) fn status_of(state: &State, stack: &Stack) -> Status {
    if stack.converged {
        return Status::Converged;
    }
    if stack.row.deleting {
        return Status::Deleting;
    }
    if stack.row.paused {
        return Status::Paused;
    }
    match can_move(state, stack) {
        true => Status::Converging,
        false => Status::Failed,
    }
}

/// Something runs or can still run, a due retry included.
pub(crate) fn can_move(state: &State, stack: &Stack) -> bool {
    use crate::outcome::StackStops;
    // A stack that only has to forget its history before it is gone is carried on by the leader.
    let goes = stack.row.deleting && !stack.forgotten_past.is_empty();
    if stack.running > 0 || goes {
        return true;
    }
    match stack.stops() {
        // The leader carries these on by itself.
        Some(StackStops::Queue | StackStops::RollbackDue) => true,
        Some(_) => false,
        None => {
            let reachable = |lane: &crate::state::stack::Lane| {
                lane.count > 0 && state.reachable(&lane.type_name, lane.host.as_deref())
            };
            stack.lanes.iter().any(reachable)
        }
    }
}
