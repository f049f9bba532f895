//! What the end-to-end tests, the chaos runs and the benchmark share: real members as real processes, the real command
//! line against them, a simulated cloud as the witness, and waiting for conditions with a bound.
//!
//! Nothing here looks inside a member: it starts, signals and asks it as an operator would.

pub mod bench;
pub mod chance;
pub mod chaos;
pub mod cloud;
mod cluster;
mod interrupt;
pub mod judge;
pub mod mutants;
mod network;
mod objects;
mod process;
mod shell;
mod small_disk;
pub mod soak;
mod wait;
mod wal;

pub use chance::Chance;
pub use cluster::Cluster;
pub use interrupt::interrupted;
pub use network::Network;
pub use objects::Objects;
pub use process::{Launch, MemberProcess};
pub use shell::{Anneal, Answer, binary, failpoints};
pub use small_disk::SmallDisk;
pub use wait::{PATIENCE, eventually, free_port};
pub use wal::{Damage, Wal};
