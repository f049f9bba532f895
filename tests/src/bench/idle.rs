//! What settled resources cost: log entries and CPU while nothing happens, and what a small stack feels of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    figures::median,
    ground::{Ground, Members, at_least_one},
    markdown::{figure, head, row},
    shape::{Change, Shape},
    usage::Usage,
};

/// Resources of a small stack.
pub(super) const SMALL: usize = 10;
/// Small stacks that are timed, one after the other.
const TIMES: usize = 11;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources that are settled
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// How long nothing happens
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[command(flatten)]
    members: Members,
}

/// Prints both: empty, and with the resources.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let ground = Ground::start(&flags.members)?;
    println!(
        "{}",
        head(&[
            "settled resources",
            "seconds",
            "log entries",
            "CPU % of a core (each member)",
            "small stack, median ms"
        ])
    );
    look(&ground, 0, flags.seconds)?;
    let template = Shape::Flat.template(flags.resources, Change::Nothing);
    ground.put("bench.json", &template)?;
    ground.timed_to_end(&["stack", "create", "large", "-f", "bench.json"])?;
    look(&ground, flags.resources, flags.seconds)
}

fn look(ground: &Ground, settled: usize, seconds: u64) -> Result<(), String> {
    let before = Usage::of(ground)?;
    let began = Instant::now();
    // The time that passes is the thing measured.
    thread::sleep(Duration::from_secs(seconds));
    let after = Usage::of(ground)?;
    let passed = began.elapsed().as_secs_f64();
    let cpu = after.cpu_seconds.iter().zip(&before.cpu_seconds);
    let cpu: Vec<_> = cpu
        .map(|(after, before)| format!("{:.1}", (after - before) / passed * 100.0))
        .collect();
    let small = small_stacks(ground, TIMES)?;
    println!(
        "{}",
        row(&[
            settled.to_string(),
            format!("{passed:.1}"),
            after.log_index.saturating_sub(before.log_index).to_string(),
            cpu.join(" "),
            figure(median(&small), 1),
        ])
    );
    Ok(())
}

/// Creates a small stack so many times, one after the other; milliseconds of each.
pub(super) fn small_stacks(ground: &Ground, times: usize) -> Result<Vec<f64>, String> {
    ground.put("small.json", &Shape::Flat.template(SMALL, Change::Nothing))?;
    let mut millis = Vec::new();
    for _ in 0..times {
        millis.push(small_stack(ground)?);
    }
    Ok(millis)
}

/// Creates one and deletes it again; milliseconds of the create. Its template has been put.
fn small_stack(ground: &Ground) -> Result<f64, String> {
    let took = ground.timed_to_end(&["stack", "create", "small", "-f", "small.json"])?;
    ground.timed_to_end(&["stack", "delete", "small"])?;
    Ok(took.as_secs_f64() * 1e3)
}
