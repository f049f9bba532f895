//! What others feel while a large stack converges: a small stack beside it, and a pause of the large one itself.

use std::time::Instant;

use clap::Args;

use super::{
    figures::{median, percentile},
    ground::Ground,
    markdown::{figure, head, row},
    pace::pace,
    shape::{Change, Shape},
};

/// Resources of the small stacks.
const SMALL: usize = 10;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the large stack
    #[arg(long, default_value_t = 100_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    resources: usize,
    /// Small stacks on the idle cluster, and at most beside the large one
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Members of the cluster
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Give up on one measurement after this many seconds
    #[arg(long, default_value_t = 1_800)]
    patience: u64,
}

/// Prints the times and their ratios.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let ground = Ground::start(flags.members, flags.patience)?;
    ground.put("small.json", &Shape::Flat.template(SMALL, Change::Nothing))?;
    let large = Shape::Flat.template(flags.resources, Change::Nothing);
    ground.put("large.json", &large)?;
    let mut idle = Vec::new();
    for time in 0..flags.times {
        idle.push(small(&ground, &format!("idle{time}"))?);
    }
    let began = Instant::now();
    ground.timed(&["stack", "create", "large", "-f", "large.json"])?;
    let mut beside = Vec::new();
    while beside.len() < flags.times as usize && is_converging(&ground)? {
        beside.push(small(&ground, &format!("beside{}", beside.len()))?);
    }
    let paused = if is_converging(&ground)? {
        let began = Instant::now();
        ground.timed(&["stack", "pause", "large"])?;
        let answered = began.elapsed();
        let quiet = ground.until("nothing of the paused stack runs", began, || {
            let shown = ground.json(&["stack", "show", "large"])?;
            Ok((shown["counts"]["in_flight"] == 0).then_some(()))
        })?;
        ground.timed(&["stack", "resume", "large"])?;
        Some((answered, quiet.1))
    } else {
        None
    };
    let took = ground.converged("large", began)?;

    println!(
        "{}",
        head(&[
            "stacks of 10",
            "measured",
            "median ms",
            "p99 ms",
            "ratio of medians"
        ])
    );
    let ratio = median(&beside)
        .zip(median(&idle))
        .map(|(beside, idle)| beside / idle);
    for (what, millis, ratio) in [
        ("on the idle cluster", &idle, Some(1.0)),
        ("beside the large one", &beside, ratio),
    ] {
        println!(
            "{}",
            row(&[
                what.to_owned(),
                millis.len().to_string(),
                figure(median(millis), 1),
                figure(percentile(millis, 99.0), 1),
                figure(ratio, 1),
            ])
        );
    }
    println!(
        "\nFrom the start of the command line to the end of its `--wait`. The large stack of {} converged in {:.1} s.",
        flags.resources,
        took.as_secs_f64()
    );
    match paused {
        Some((answered, quiet)) => println!(
            "A pause of it was answered after {:.0} ms, and nothing of it ran any more after {:.0} ms.",
            answered.as_secs_f64() * 1e3,
            quiet.as_secs_f64() * 1e3
        ),
        None => println!("It had converged before it could be paused."),
    }
    let pace = pace(&ground.cluster);
    println!(
        "Longest apply of one entry {} ms; longest silence of the leader {} ms.",
        figure(pace.longest_apply_ms, 1),
        figure(pace.longest_leader_silence_ms, 0)
    );
    Ok(())
}

/// Converges a small stack; how long that took, in milliseconds.
fn small(ground: &Ground, name: &str) -> Result<f64, String> {
    let took = ground.timed_to_end(&["stack", "create", name, "-f", "small.json"])?;
    Ok(took.as_secs_f64() * 1e3)
}

fn is_converging(ground: &Ground) -> Result<bool, String> {
    let shown = ground.json(&["stack", "show", "large"])?;
    Ok(shown["status"] == "converging")
}
