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
mod memory;
mod output;
mod providers;
mod refusal;
mod submission;
mod tls;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The guard and the supervisor are this program again, and must not carry the rest of it.
    if let Some(code) = anneal_provider::companion_main() {
        return code;
    }
    let code = cli::run(std::env::args_os());
    // What is not written by now never will be; whoever read it may be gone.
    let _ = std::io::stdout().flush();
    // Threads of a member may still run: the storage library's destructors must not run under them.
    signal_hook::low_level::exit(i32::from(code))
}
