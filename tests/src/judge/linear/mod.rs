//! Linearizability: is there one order of all operations, each between its call and its return, in which every answer
//! is what a sequential model gives?
//!
//! Knows nothing of stacks: what is sequential is a [`Model`]'s business.

mod search;
mod story;

pub use search::{Budget, check};
pub use story::shortest_story;

use std::{fmt::Debug, hash::Hash};

/// What a sequential object does.
pub trait Model {
    /// What it is between two operations.
    type State: Clone + Eq + Hash + Debug;
    /// What was asked of it, with what was answered.
    type Operation;

    /// What it is at first.
    fn begin(&self) -> Self::State;

    /// Everything that it may be after the operation was answered as it was; nothing: that answer can not be given here.
    /// More than one, where it may change by itself as well.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Vec<Self::State>;
}

/// One operation in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<O> {
    /// When it was called, on a clock that never goes back. Nanoseconds.
    pub called_ns: u64,
    /// When it was answered. `None`: nobody told; it took effect at any time after the call, or never.
    pub returned_ns: Option<u64>,
    /// What.
    pub operation: O,
}

/// Whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linear {
    /// It is.
    Ok,
    /// It is not.
    Illegal,
    /// It would take more steps to find out than the budget has.
    Undecided,
}

#[cfg(test)]
pub(super) mod register {
    //! A register, as a model to test by.

    use super::{Entry, Model};

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) enum Did {
        Wrote(u64),
        Read(u64),
        /// It adds one to what is there, which it answers.
        Added(u64),
    }

    /// One that falls to 0 by itself when it holds 13.
    pub(crate) struct Register;

    impl Model for Register {
        type State = u64;
        type Operation = Did;

        fn begin(&self) -> u64 {
            0
        }

        fn step(&self, state: &u64, operation: &Did) -> Vec<u64> {
            let mut before = vec![*state];
            if *state == 13 {
                before.push(0);
            }
            before.retain(
                |state| !matches!(operation, Did::Read(seen) | Did::Added(seen) if seen != state),
            );
            let after = before.into_iter().map(|state| match operation {
                Did::Wrote(new) => *new,
                Did::Read(_) => state,
                Did::Added(_) => state + 1,
            });
            after.collect()
        }
    }

    pub(crate) fn known(called_ns: u64, returned_ns: u64, operation: Did) -> Entry<Did> {
        Entry {
            called_ns,
            returned_ns: Some(returned_ns),
            operation,
        }
    }

    pub(crate) fn unknown(called_ns: u64, operation: Did) -> Entry<Did> {
        Entry {
            called_ns,
            returned_ns: None,
            operation,
        }
    }
}
