//! The benchmark. Exit code 0: all was measured; 1: something was not, and standard error says why.

use std::process::ExitCode;

use anneal_tests::{
    bench::{beside, calls, curves, idle, interrupt, patch, profile, reaction, restart, table},
    interrupted,
};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    about = "Measures convergence with real members on this machine and prints Markdown",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    table: table::Flags,
}

#[derive(Subcommand)]
enum Command {
    /// Three shapes on one and on three members (the default)
    Table(table::Flags),
    /// Every operation by shape and size, with slopes and a plot
    Curves(curves::Flags),
    /// How soon a change is heeded while a large stack converges, and what small stacks feel of it
    Reaction(reaction::Flags),
    /// Patch of one resource in a large and in a small stack
    Patch(patch::Flags),
    /// Members that restart or are killed
    Restart(restart::Flags),
    /// What settled resources cost
    Idle(idle::Flags),
    /// Where the CPU time of a create goes, by stage (needs `perf`)
    Profile(profile::Flags),
    /// Calls of an outside world: how near engines come to as many at a time as they may
    Calls(calls::Flags),
    /// The same graphs with Terraform or OpenTofu
    Beside(beside::Flags),
}

fn run(cli: Cli) -> Result<(), String> {
    match cli.command.unwrap_or(Command::Table(cli.table)) {
        Command::Table(flags) => table::run(&flags),
        Command::Curves(flags) => curves::run(&flags),
        Command::Reaction(flags) => reaction::run(&flags),
        Command::Patch(flags) => patch::run(&flags),
        Command::Restart(flags) => restart::run(&flags),
        Command::Idle(flags) => idle::run(&flags),
        Command::Profile(flags) => profile::run(&flags),
        Command::Calls(flags) => calls::run(&flags),
        Command::Beside(flags) => beside::run(&flags),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut measuring = tokio::task::spawn_blocking(|| run(cli));
    let ended = tokio::select! {
        ended = &mut measuring => ended,
        () = interrupted("bench") => {
            // The members end with it, and their directories with them.
            interrupt();
            measuring.await
        }
    };
    match ended
        .map_err(|error| format!("the harness failed: {error}"))
        .and_then(|ended| ended)
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}
