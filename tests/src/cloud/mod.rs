//! The simulated cloud: an outside world in a process of its own, which writes down every call.
//!
//! It knows nothing of Anneal: it has objects that refer to other objects, honours idempotency keys and fencing tokens
//! if told to, and has its bad days as told over a control path. Its journal, not the product's own state, is what
//! [`crate::judge`] reads.

mod behaviour;
mod journal;
mod process;
mod serve;
mod world;

pub use behaviour::{Behaviour, Fault};
pub(crate) use journal::now_us;
pub use journal::{Body, Did, Happened, Journal, Operation, Record, read_journal};
pub use process::CloudProcess;
pub use serve::serve;
pub use world::{Object, World};
