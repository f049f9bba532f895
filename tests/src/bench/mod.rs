//! The benchmark: what convergence costs, as an operator sees it. Every figure is taken from outside: wall time of the
//! command line, log indexes and phases as it prints them, and `/proc` of the member processes.
//!
//! Knows nothing of how a member is made; it could measure another engine with the same command line.

pub mod beside;
pub mod calls;
pub mod curves;
mod figures;
mod ground;
pub mod idle;
mod markdown;
mod operation;
mod pace;
pub mod patch;
mod plot;
pub mod profile;
pub mod reaction;
pub mod restart;
mod shape;
pub mod table;
mod usage;

pub use ground::interrupt;
