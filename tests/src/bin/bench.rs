//! The benchmark: no-op resources in three shapes on one and on three members, through the command line, as a table.
//!
//! Every figure is taken from outside: wall time from the submission to the end of `--wait`, CPU time and peak memory
//! of the member processes, log entries from `cluster status`, bytes as the kernel counts them.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anneal_tests::{Anneal, Cluster};
use clap::Parser;

/// One clock tick of `/proc/PID/stat` in seconds (USER_HZ is 100 on Linux).
const TICK_SECONDS: f64 = 0.01;

/// Layers of the layered shape.
const LAYERS: usize = 10;

/// Resources of the chain: a chain is bound by latency, so its rate does not need many.
const CHAIN: usize = 1_000;

#[derive(Parser)]
#[command(about = "Measures the convergence of no-op resources and prints a Markdown table")]
struct Flags {
    /// Resources of the flat and the layered stack.
    #[arg(long, default_value_t = 100_000)]
    resources: usize,
    /// Numbers of members to measure.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    members: Vec<usize>,
    /// Give up on one measurement after this many seconds.
    #[arg(long, default_value_t = 900)]
    patience: u64,
}

#[derive(Clone, Copy)]
enum Shape {
    Flat,
    Layered,
    Chain,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Layered => "layered",
            Self::Chain => "chain",
        }
    }

    fn size(self, resources: usize) -> usize {
        match self {
            Self::Chain => CHAIN.min(resources),
            Self::Flat | Self::Layered => resources,
        }
    }

    /// The template as JSON on one line, which every reader of YAML reads too.
    fn template(self, resources: usize) -> String {
        let size = self.size(resources);
        let width = size.div_ceil(LAYERS);
        let mut text = String::from("{\"heat_template_version\": \"2021-04-16\", \"resources\": {");
        for n in 0..size {
            let above = match self {
                Self::Flat => None,
                Self::Layered => n.checked_sub(width),
                Self::Chain => n.checked_sub(1),
            };
            let comma = if n == 0 { "" } else { ", " };
            let depends = above.map_or(String::new(), |above| {
                format!(", \"depends_on\": \"r{above}\"")
            });
            let _ = write!(
                text,
                "{comma}\"r{n}\": {{\"type\": \"OS::Heat::None\"{depends}}}"
            );
        }
        text + "}}"
    }
}

struct Usage {
    cpu_seconds: f64,
    peak_memory_mib: f64,
    written_mib: f64,
    log_index: u64,
}

fn usage(cluster: &Cluster, anneal: &Anneal) -> Usage {
    let sum = |read: fn(&anneal_tests::MemberProcess) -> Option<u64>| {
        cluster.members.iter().filter_map(read).sum::<u64>()
    };
    let peak = cluster
        .members
        .iter()
        .filter_map(anneal_tests::MemberProcess::peak_memory_kib)
        .max()
        .unwrap_or(0);
    let status = anneal.json(&["cluster", "status"]).unwrap_or_default();
    Usage {
        cpu_seconds: sum(anneal_tests::MemberProcess::cpu_ticks) as f64 * TICK_SECONDS,
        peak_memory_mib: peak as f64 / 1024.0,
        written_mib: sum(anneal_tests::MemberProcess::bytes_written) as f64 / f64::from(1 << 20),
        log_index: status["last_log_index"].as_u64().unwrap_or(0),
    }
}

fn measure(members: usize, shape: Shape, flags: &Flags) -> String {
    let cluster = Cluster::start(members, &[]);
    let anneal = cluster.anneal();
    let size = shape.size(flags.resources);
    fs::write(
        cluster.dir().join("bench.json"),
        shape.template(flags.resources),
    )
    .expect("a template file");
    let wait = format!("--wait={}s", flags.patience);
    let mut lines = String::new();
    for (operation, args) in [
        (
            "create",
            vec!["stack", "create", "bench", "-f", "bench.json", &wait],
        ),
        (
            "unchanged update",
            vec!["stack", "update", "bench", "-f", "bench.json", &wait],
        ),
        ("delete", vec!["stack", "delete", "bench", &wait]),
    ] {
        let before = usage(&cluster, &anneal);
        let began = Instant::now();
        let answer = anneal.run(&args);
        let wall = began.elapsed();
        let after = usage(&cluster, &anneal);
        if answer.code != 0 {
            eprintln!(
                "bench: {operation} of {size} {} on {members}: exit {}\n{}",
                shape.name(),
                answer.code,
                answer.err
            );
        }
        lines += &row(
            members,
            shape,
            size,
            operation,
            wall,
            &before,
            &after,
            answer.code == 0,
        );
    }
    lines
}

#[allow(
    clippy::too_many_arguments,
    reason = "one row of a table has that many columns"
)]
fn row(
    members: usize,
    shape: Shape,
    size: usize,
    operation: &str,
    wall: Duration,
    before: &Usage,
    after: &Usage,
    ok: bool,
) -> String {
    let seconds = wall.as_secs_f64();
    format!(
        "| {members} | {} | {size} | {operation}{} | {seconds:.2} | {:.0} | {:.2} | {:.0} | {} | {:.1} |\n",
        shape.name(),
        if ok { "" } else { " (failed)" },
        size as f64 / seconds,
        after.cpu_seconds - before.cpu_seconds,
        after.peak_memory_mib,
        after.log_index.saturating_sub(before.log_index),
        after.written_mib - before.written_mib,
    )
}

fn main() {
    let flags = Flags::parse();
    println!(
        "| members | shape | resources | operation | wall s | resources/s | CPU s (all members) | peak MiB (largest) | log entries | MiB written (all) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for &members in &flags.members {
        for shape in [Shape::Flat, Shape::Layered, Shape::Chain] {
            print!("{}", measure(members, shape, &flags));
        }
    }
}
