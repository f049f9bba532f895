//! What settled resources cost: log entries and CPU while nothing happens, and what a small stack feels of them.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use super::{
    figures::median,
    ground::{Ground, Members, at_least_one},
    markdown::{figure, head, row},
    shape::{Change, Shape},
    usage::Usage,
};

/// Resources of a small stack.
pub(super) const SMALL: usize = 10;
/// Small stacks that are timed on each cluster, in turn.
const TIMES: usize = 41;
/// What each file has in it.
const CONTENT: &str = "as declared";
/// Between two looks at the one that was changed.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources that are settled
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// How long nothing happens
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// They are files, which are read all the time, and not of a type of which there is nothing to see
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    members: Members,
}

/// Prints both: an empty cluster, and one with the resources. They are there at the same time, and are looked at in the same
/// minutes: what a machine does otherwise both feel.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let empty = Ground::start(&flags.members)?;
    let ground = Ground::start(&flags.members)?;
    let mut create = vec!["stack", "create", "large", "-f", "bench.json"];
    let directory = ground.cluster.dir().join("files");
    if flags.files {
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        ground.put("bench.json", &files(flags.resources, &directory))?;
        // A walk takes longer than this, so that the next one follows at once.
        create.extend(["--observe-interval", "1s"]);
    } else {
        let template = Shape::Flat.template(flags.resources, Change::Nothing);
        ground.put("bench.json", &template)?;
    }
    ground.timed_to_end(&create)?;
    let both = [&empty, &ground];
    let quiet = quiet(both, flags.seconds)?;
    let mut small = [Vec::new(), Vec::new()];
    for _ in 0..TIMES {
        for (ground, small) in both.into_iter().zip(&mut small) {
            small.extend(small_stacks(ground, 1)?);
        }
    }
    println!(
        "{}",
        head(&[
            "settled resources",
            "seconds",
            "log entries",
            "CPU % of a core (each member)",
            "small stack, median ms",
            "ratio",
        ])
    );
    let idle_ms = median(&small[0]);
    let settled = [0, flags.resources];
    for ((settled, quiet), small) in settled.into_iter().zip(quiet).zip(&small) {
        let median_ms = median(small);
        let ratio = median_ms.zip(idle_ms).map(|(ms, idle_ms)| ms / idle_ms);
        println!(
            "{}",
            row(&[
                settled.to_string(),
                format!("{:.1}", quiet.seconds),
                quiet.entries.to_string(),
                quiet.cpu_percent.join(" "),
                figure(median_ms, 1),
                figure(ratio, 2),
            ])
        );
    }
    if flags.files {
        let healed = healed_after(&directory.join("f0"), ground.patience)?;
        println!("\nA file that somebody changed was as declared again after {healed:.1} s.");
    }
    Ok(())
}

/// A template of so many files in a directory that is there.
fn files(count: usize, directory: &Path) -> String {
    let mut resources = serde_json::Map::new();
    for n in 0..count {
        let path = directory.join(format!("f{n}"));
        resources.insert(
            format!("f{n}"),
            json!({"type": "Anneal::File", "properties": {"path": path, "content": CONTENT}}),
        );
    }
    json!({"heat_template_version": "2021-04-16", "resources": resources}).to_string()
}

/// Changes a file and waits until it is as declared; seconds.
fn healed_after(path: &Path, patience: Duration) -> Result<f64, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    fs::write(path, "drifted").map_err(failed)?;
    let began = Instant::now();
    while fs::read_to_string(path).map_err(failed)? != CONTENT {
        if began.elapsed() > patience {
            return Err(format!("{} was not healed", path.display()));
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(began.elapsed().as_secs_f64())
}

/// What a cluster did while nobody asked for anything.
struct Quiet {
    seconds: f64,
    /// Entries that came to its log.
    entries: u64,
    /// Of a core, for each member.
    cpu_percent: Vec<String>,
}

/// Lets clusters be for so long.
fn quiet(grounds: [&Ground; 2], seconds: u64) -> Result<Vec<Quiet>, String> {
    let usage = || -> Result<Vec<Usage>, String> { grounds.into_iter().map(Usage::of).collect() };
    let (before, began) = (usage()?, Instant::now());
    // The time that passes is the thing measured.
    thread::sleep(Duration::from_secs(seconds));
    let (after, passed) = (usage()?, began.elapsed().as_secs_f64());
    let quiet = |(after, before): (Usage, &Usage)| {
        let cpu = after.cpu_seconds.iter().zip(&before.cpu_seconds);
        let percent = |(after, before)| format!("{:.1}", (after - before) / passed * 100.0);
        Quiet {
            seconds: passed,
            entries: after.log_index.saturating_sub(before.log_index),
            cpu_percent: cpu.map(percent).collect(),
        }
    };
    Ok(after.into_iter().zip(&before).map(quiet).collect())
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
