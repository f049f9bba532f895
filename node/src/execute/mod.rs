//! The executor of every member: carries out what the replicated state assigns to this engine (design §5.3-5.7).
//!
//! It looks at its own replica alone. It knows nothing of the dispatcher, and never decides what should be done.

mod call;
mod facts;
mod in_turn;
mod ledger;
pub(crate) mod order;
pub mod outbox;
mod run;
mod secrets;
pub(crate) mod values;
mod verdict;
mod walk;

use std::sync::Arc;

use tokio::task::JoinHandle;

pub use self::order::Surroundings;
use self::walk::Shared;
use crate::lease::Engine;
use crate::replica::Replica;

/// What an executor needs.
pub struct Execution {
    /// This member's replica.
    pub replica: Replica,
    /// Its engine.
    pub engine: Arc<Engine>,
    /// What all calls have in common.
    pub surroundings: Surroundings,
}

/// Starts carrying out what is assigned. Aborting the returned handle begins nothing new, and drops no call that
/// is under way: those end with the lease, or with the process.
pub fn start(execution: Execution) -> JoinHandle<()> {
    let Execution {
        replica,
        engine,
        surroundings,
    } = execution;
    let shared = Shared::new(replica, engine, surroundings);
    tokio::spawn(run::run(Arc::new(shared)))
}
