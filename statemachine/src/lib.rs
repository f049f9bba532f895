//! The deterministic heart of Anneal: commands in; outcomes, row changes and events out.
//!
//! It must not know: time, chance, threads, files, the network, how anything is encoded, or what a
//! definition means. Everything it needs is in the command, everything it decides is in the result.

pub mod command;
pub mod digest;
pub mod event;
pub mod id;
pub mod outcome;
pub mod row;
