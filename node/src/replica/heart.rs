//! Stands where the state machine will be until that crate exports it.

use anneal_statemachine::{
    command::Command,
    outcome::Applied,
    row::{RowKey, RowValue},
};

/// The state in memory.
#[derive(Default)]
pub struct StateMachine {}

impl StateMachine {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state that rows say.
    pub fn load(_rows: impl IntoIterator<Item = (RowKey, RowValue)>) -> Self {
        Self::default()
    }

    /// Applies a command.
    pub fn apply(&mut self, _index: u64, _command: &Command) -> Applied {
        Applied::default()
    }
}
