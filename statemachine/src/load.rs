//! From rows to memory. Memory is a function of the rows: a state that was loaded behaves exactly as
//! the one that wrote them. Knows nothing of where rows are kept.

mod fill;

use crate::command::Stamp;
use crate::id::ResourceId;
use crate::row::{RowKey, RowValue};
use crate::state::{State, Tally};
use crate::turn::Turn;

/// Rows that make no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A row's value is of another kind than its key.
    #[error("row {0:?} has a value of another kind")]
    WrongKind(RowKey),
    /// A row refers to one that is not there.
    #[error("row {0:?} refers to {1}, which is not there")]
    Dangling(RowKey, String),
    /// The rows were not all written by one entry: the rules would still change them.
    #[error("the rows are not at rest: {0:?} would change")]
    NotAtRest(RowKey),
}

/// Makes a state of rows, in any order.
pub(crate) fn load(rows: impl IntoIterator<Item = (RowKey, RowValue)>) -> Result<State, LoadError> {
    let mut state = fill::fill(rows)?;
    let mut turn = Turn::new(&mut state, 0, Stamp::default());
    turn.loading = true;
    let all: Vec<ResourceId> = turn.state.resources.keys().collect();
    for id in all {
        turn.enqueue(id);
    }
    turn.drain();
    turn.take_moved();
    let applied = turn.finish(Default::default());
    if let Some(change) = applied.rows.into_iter().next() {
        return Err(LoadError::NotAtRest(change.key));
    }
    let declared = state
        .stacks
        .values()
        .map(|stack| state.count_declared(stack, stack.declared));
    let declared: Vec<Tally> = declared.collect();
    for (stack, declared) in state.stacks.values_mut().zip(declared) {
        stack.declared = declared;
        stack.converged =
            stack.settled() && !stack.row.deleting && stack.row.named && stack.unwanted == 0;
    }
    Ok(state)
}
