//! How soon a change is heeded while a large stack converges, and what small stacks feel of it.

mod beside_large;
mod changes;
mod crowd;

use clap::Args;

use super::{
    figures::median,
    ground::{Ground, Members, at_least_one},
    markdown::{figure, head, row},
    pace::pace,
};

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the large stack
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// How often the large stack is made, patched, paused and cancelled
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Small stacks that are submitted at once
    #[arg(long, default_value_t = 1_000)]
    stacks: usize,
    /// Command lines side by side that submit them
    #[arg(long, default_value_t = 16)]
    submitters: usize,
    #[command(flatten)]
    members: Members,
}

/// Prints the times, table after table.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let ground = Ground::start(&flags.members)?;
    println!(
        "{}",
        head(&[
            "change",
            "times",
            "committed ms (median)",
            "effective ms (median)",
            "made after it (median)",
            "made outdated first",
        ])
    );
    for (change, samples) in changes::measure(&ground, flags.resources, flags.rounds)? {
        let of = |what: fn(&changes::Sample) -> f64| {
            let all: Vec<f64> = samples.iter().map(what).collect();
            median(&all)
        };
        let after: Vec<f64> = samples
            .iter()
            .filter_map(|sample| sample.made_after.map(|made| made as f64))
            .collect();
        let outdated: Vec<bool> = samples.iter().filter_map(|it| it.made_outdated).collect();
        let outdated =
            (!outdated.is_empty()).then(|| outdated.iter().filter(|&&it| it).count().to_string());
        println!(
            "{}",
            row(&[
                change.to_owned(),
                samples.len().to_string(),
                figure(of(|sample| sample.committed_ms), 1),
                figure(of(|sample| sample.effective_ms), 1),
                figure(median(&after), 0),
                outdated.unwrap_or_default(),
            ])
        );
    }
    say_pace(&ground, "changes");
    beside_large::print(&ground, flags.resources)?;
    say_pace(&ground, "a small stack beside");
    crowd::print(&ground, flags.stacks, flags.submitters)?;
    say_pace(&ground, "many small stacks");
    Ok(())
}

/// The longest times so far: of what they come is seen where they grow.
fn say_pace(ground: &Ground, after: &str) {
    let pace = pace(&ground.cluster);
    println!(
        "\nAfter {after}: longest apply of one entry {} ms; longest silence of the leader {} ms.",
        figure(pace.longest_apply_ms, 1),
        figure(pace.longest_leader_silence_ms, 0)
    );
}
