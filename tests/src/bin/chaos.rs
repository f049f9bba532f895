//! A chaos run from a seed. Exit code 0: passed; 1: the product is guilty; 2: the harness failed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anneal_tests::chaos::{Evidence, Settings, rule, run};
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
    /// Members of the cluster.
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Stacks, each with a client.
    #[arg(long, default_value_t = 12)]
    stacks: usize,
    /// The lease of engines.
    #[arg(long, default_value_t = 2_000)]
    lease_ms: u64,
    /// Put every member on a network of its own, and cut them off from each other too. Needs root.
    #[arg(long)]
    partitions: bool,
    /// The cloud breaks its word about keys and tokens: tests the verdicts, which must find that.
    #[arg(long)]
    careless: bool,
    /// Where the report is written as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Where the cloud's journal, the histories and the members' logs are kept.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Judge again what an earlier run has kept there, instead of making one.
    #[arg(long, value_name = "DIR")]
    judge: Option<PathBuf>,
}

fn judge_kept(dir: &Path) -> ExitCode {
    let evidence = match Evidence::read(dir) {
        Ok(evidence) => evidence,
        Err(why) => {
            eprintln!("chaos: {why}");
            return ExitCode::from(2);
        }
    };
    let ruling = rule(&evidence);
    println!("{ruling}");
    for (kind, finding) in &ruling.guilty {
        println!("guilty            {kind}: {finding}");
    }
    ExitCode::from(ruling.exit_code())
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
    if let Some(dir) = &flags.judge {
        return judge_kept(dir);
    }
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
        stacks: flags.stacks,
        lease_ms: flags.lease_ms,
        partitions: flags.partitions,
        careless: flags.careless,
        cloud,
        keep: flags.keep,
        loud: true,
    };
    // In a task of its own, so that a harness that panics still says with which code; and one that is interrupted
    // removes what it made.
    let mut task = tokio::spawn(run(settings));
    let ended = tokio::select! {
        ended = &mut task => ended,
        () = interrupted() => {
            task.abort();
            task.await
        }
    };
    let report = match ended {
        Ok(Ok(report)) => report,
        Ok(Err(why)) => {
            eprintln!("chaos: the harness failed: {why}");
            return ExitCode::from(2);
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
