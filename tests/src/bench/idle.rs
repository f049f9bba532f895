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
/// Small stacks that are timed, one after the other.
const TIMES: usize = 11;
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
    look(&ground, flags.resources, flags.seconds)?;
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
