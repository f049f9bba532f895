//! Anneal: a convergence engine for infrastructure stacks. The one binary: the command line, `serve`, and the
//! embedded member of `up`.
//!
//! This crate turns arguments into typed calls and answers into text; it decides nothing about stacks.

mod call;
mod cli;
mod command;
mod duration;
mod embedded;
mod exit;
mod follow;
mod interrupt;
mod limits;
mod log;
mod output;
mod providers;
mod refusal;
mod submission;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The guard and the supervisor are this program again, and must not carry the rest of it.
    if let Some(code) = anneal_provider::companion_main() {
        return code;
    }
    cli::run(std::env::args_os())
}
