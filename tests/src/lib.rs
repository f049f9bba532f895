//! What the end-to-end tests and the benchmark share: real members as real processes, the real command line against
//! them, and waiting for conditions with a bound.
//!
//! Nothing here looks inside a member: it starts, signals and asks it as an operator would.

mod cluster;
mod objects;
mod process;
mod shell;
mod wait;

pub use cluster::Cluster;
pub use objects::Objects;
pub use process::{Launch, MemberProcess};
pub use shell::{Anneal, Answer, binary};
pub use wait::{PATIENCE, eventually, free_port};
