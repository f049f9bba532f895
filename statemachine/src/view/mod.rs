//! Read access: what the dispatcher, the executor, the leader's clocks and people may ask. Changes
//! nothing, and keeps no copy of anything.

pub(crate) mod chunk;
mod declared;
mod engine;
mod explain;
mod graph;
mod ready;
mod stack;
mod status;

pub use chunk::Chunk;
pub use engine::{AssignmentView, EngineView, Footing};
pub use explain::{InstanceView, ResourceView};
pub use ready::{Work, WorkView};
pub use stack::{RevisionView, StackView};
pub use status::{Counts, Phase, Status};
