//! The short table: three shapes, on one and on three members, from submission to the end of `--wait`.

use clap::Args;

use super::{
    ground::{Ground, at_least_one},
    markdown::{head, row},
    operation::STACK,
    shape::{Change, Shape},
    usage::Usage,
};

/// Resources of the chain: a chain is bound by latency, so its rate does not need many.
const CHAIN: usize = 1_000;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the flat and the layered stack
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// Numbers of members to measure
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    members: Vec<usize>,
    /// Give up on one measurement after this many seconds
    #[arg(long, default_value_t = 900)]
    patience: u64,
}

/// Prints the table.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    println!(
        "{}",
        head(&[
            "members",
            "shape",
            "resources",
            "operation",
            "wall s",
            "resources/s",
            "CPU s (all members)",
            "peak MiB (largest)",
            "log entries",
            "MiB written (all)",
        ])
    );
    for &members in &flags.members {
        for shape in [Shape::Flat, Shape::Layers, Shape::Chain] {
            let size = match shape {
                Shape::Chain => CHAIN.min(flags.resources),
                _ => flags.resources,
            };
            measure(members, shape, size, flags.patience)?;
        }
    }
    Ok(())
}

fn measure(members: usize, shape: Shape, size: usize, patience: u64) -> Result<(), String> {
    let ground = Ground::of(members, patience)?;
    ground.put("bench.json", &shape.template(size, Change::Nothing))?;
    for (operation, args) in [
        (
            "create",
            &["stack", "create", STACK, "-f", "bench.json"][..],
        ),
        (
            "unchanged update",
            &["stack", "update", STACK, "-f", "bench.json"],
        ),
        ("delete", &["stack", "delete", STACK]),
    ] {
        let before = Usage::of(&ground)?;
        let seconds = ground.timed_to_end(args)?.as_secs_f64();
        let after = Usage::of(&ground)?;
        let written = after.bytes_written.saturating_sub(before.bytes_written);
        println!(
            "{}",
            row(&[
                members.to_string(),
                shape.name().to_owned(),
                size.to_string(),
                operation.to_owned(),
                format!("{seconds:.2}"),
                format!("{:.0}", size as f64 / seconds),
                format!(
                    "{:.2}",
                    after.cpu_total_seconds() - before.cpu_total_seconds()
                ),
                format!("{:.0}", after.peak_mib()),
                after.log_index.saturating_sub(before.log_index).to_string(),
                format!("{:.1}", written as f64 / f64::from(1 << 20)),
            ])
        );
    }
    Ok(())
}
