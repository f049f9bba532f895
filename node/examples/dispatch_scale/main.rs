//! How the dispatcher grows with the number of engines: the product's own chooser over the product's own state machine, in
//! one thread, without Raft, network or disk, with engines that only pretend. Prints a Markdown table.
//!
//! Every size runs in a process of its own, so that its peak of memory is its own too.

mod cluster;
mod memory;
mod numbers;
mod report;
#[path = "../../tests/dispatch/types.rs"]
#[allow(unreachable_pub, reason = "shared with the simulation's tests")]
mod types;

use std::error::Error;
use std::process::Command;

use clap::Parser;

use cluster::Cluster;
use report::Figures;

#[derive(Clone, Debug, Parser)]
#[command(about = "Measures the dispatcher alone and prints a Markdown table")]
struct Flags {
    /// Numbers of engines to measure.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    engines: Vec<u64>,
    /// Calls at a time of each engine.
    #[arg(long, default_value_t = 16)]
    capacity: u32,
    /// Resources in all; half of them in one stack.
    #[arg(long, default_value_t = 100_000)]
    resources: u64,
    /// Stacks at the beginning.
    #[arg(long, default_value_t = 100)]
    stacks: u64,
    /// Decisions that are measured, at most.
    #[arg(long, default_value_t = 2_000)]
    decisions: u64,
    /// Stop measuring a size after this many seconds.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures to this file as well.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// Measure one size in this process and print its figures as JSON.
    #[arg(long, hide = true)]
    alone: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    if flags.alone {
        for engines in &flags.engines {
            let figures = Cluster::new(&flags, *engines).measure();
            println!("{}", serde_json::to_string(&figures)?);
        }
        return Ok(());
    }
    let mut all = Vec::new();
    for engines in &flags.engines {
        all.push(measured_alone(&flags, *engines)?);
    }
    print!("{}", report::table(&all));
    if let Some(path) = &flags.json {
        std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}

/// Measures one size in a process of its own.
fn measured_alone(flags: &Flags, engines: u64) -> Result<Figures, Box<dyn Error>> {
    let numbers = [
        ("--engines", engines),
        ("--capacity", flags.capacity.into()),
        ("--resources", flags.resources),
        ("--stacks", flags.stacks),
        ("--decisions", flags.decisions),
        ("--patience", flags.patience),
        ("--seed", flags.seed),
    ];
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--alone");
    for (name, number) in numbers {
        command.arg(name).arg(number.to_string());
    }
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{engines} engines: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
