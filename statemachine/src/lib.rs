//! The deterministic heart of Anneal: commands in; outcomes, row changes and events out.
//!
//! It must not know: time, chance, threads, files, the network, how anything is encoded, or what a
//! definition means. Everything it needs is in the command, everything it decides is in the result.
//!
//! # The laws
//!
//! 1. **Deterministic.** The same commands in the same order lead to the same outcomes, rows and events,
//!    on every replica.
//! 2. **Total.** Every command has an outcome or a rejection. Nothing panics but a broken assertion, which
//!    is a bug.
//! 3. **Memory is a function of the rows.** A state loaded from its rows behaves as the one that wrote
//!    them.
//! 4. **Drift is the only cause of work**: what is desired differs from what is, or is about to be.
//! 5. **Level-triggered.** Rules look at the state, never at how it came about. There is no traversal
//!    that could be lost.
//! 6. **Look first.** What may have happened is looked at before anything else is done about it.
//! 7. **At most one assignment an instance**, under a token that only grows. Late reports change nothing,
//!    except that a physical id is never lost.
//! 8. **Deletion is one way**, and in order: what others stand on goes after them.
//! 9. **A change is taken at any moment**, and costs what it touches.
//! 10. **The leader chooses, the state machine checks**: whether an action may start is decided here,
//!     and only here.

mod apply;
pub mod command;
pub mod digest;
pub mod event;
pub mod id;
mod load;
pub mod outcome;
pub mod row;
mod rules;
mod state;
mod turn;
pub mod view;

pub use load::LoadError;

use crate::command::Command;
use crate::outcome::Applied;
use crate::row::{RowKey, RowValue};
use crate::state::State;

/// The state, and all that may be done to it. Reading is in [`view`].
#[derive(Clone, Debug, Default)]
pub struct StateMachine {
    pub(crate) state: State,
}

impl StateMachine {
    /// An empty one, as before the first entry.
    pub fn new() -> StateMachine {
        StateMachine::default()
    }

    /// One that behaves as the one that wrote these rows. Rows may come in any order.
    ///
    /// # Errors
    /// Rows that do not fit together: storage is damaged, or from a newer release.
    pub fn load(
        rows: impl IntoIterator<Item = (RowKey, RowValue)>,
    ) -> Result<StateMachine, LoadError> {
        load::load(rows).map(|state| StateMachine { state })
    }

    /// Applies the log entry of this index. Indexes only grow.
    pub fn apply(&mut self, index: u64, command: Command) -> Applied {
        apply::apply(&mut self.state, index, command)
    }
}
