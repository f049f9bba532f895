//! A chaos run from a seed. Exit code 0: passed; 1: the product is guilty; 2: the harness failed.

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anneal_tests::chaos::{Failure, Settings, Stop, run};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "Breaks a cluster on purpose and judges by what the outside world saw")]
struct Flags {
    /// Everything is drawn from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long faults are injected.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Members that vote.
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Members that only learn.
    #[arg(long, default_value_t = 0)]
    learners: usize,
    /// Stacks, each with a client.
    #[arg(long, default_value_t = 12)]
    stacks: usize,
    /// The lease of engines.
    #[arg(long, default_value_t = 2_000)]
    lease_ms: u64,
    /// Put every member on a network of its own, and cut them off from each other too. Needs root.
    #[arg(long)]
    partitions: bool,
    /// Have members die between two steps too. Needs an `anneal` that is built with its feature `failpoints`.
    #[arg(long)]
    failpoints: bool,
    /// Have disks be slow, hang, be full, torn and damaged too. Needs root, and --failpoints.
    #[arg(long, requires = "failpoints")]
    disks: bool,
    /// Only these faults, comma-separated, instead of all that are possible.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The cloud breaks its word about keys and tokens: tests the verdicts, which must find that.
    #[arg(long)]
    careless: bool,
    /// Where the report is written as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the cloud's journal, the histories and the members' logs are kept.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Ctrl-C, or SIGTERM.
async fn interrupted() {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            eprintln!("chaos: SIGTERM will not be heard: {error}");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let cloud = match std::env::current_exe() {
        Ok(path) => path.with_file_name("cloud"),
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::from(2);
        }
    };
    let settings = Settings {
        seed: flags.seed,
        duration: Duration::from_secs_f64(flags.minutes * 60.0),
        members: flags.members,
        learners: flags.learners,
        stacks: flags.stacks,
        lease_ms: flags.lease_ms,
        partitions: flags.partitions,
        failpoints: flags.failpoints,
        disks: flags.disks,
        only: flags.only,
        careless: flags.careless,
        cloud,
        keep: flags.keep,
        loud: true,
    };
    // In a task of its own, so that a harness that panics still says with which code; and one that is interrupted
    // removes what it made.
    let mut task = tokio::spawn(run(settings, Stop::never()));
    let ended = tokio::select! {
        ended = &mut task => ended,
        () = interrupted() => {
            task.abort();
            task.await
        }
    };
    let report = match ended {
        Ok(Ok(report)) => report,
        Ok(Err(failure)) => {
            eprintln!("chaos: {failure}");
            return ExitCode::from(match failure {
                Failure::Product(_) => 1,
                Failure::Harness(_) => 2,
            });
        }
        Err(error) => {
            eprintln!("chaos: the harness failed: {error}");
            return ExitCode::from(2);
        }
    };
    println!("{report}");
    if let Some(path) = flags.report {
        let written = serde_json::to_string_pretty(&report)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&path, text + "\n"));
        if let Err(error) = written {
            eprintln!("chaos: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    ExitCode::from(report.exit_code())
}
