//! A chaos run from a seed. Exit code 0: passed; 1: the product is guilty; 2: the harness failed, or not all that was planned
//! happened. Told to end (SIGTERM, Ctrl-C) it takes back the fault at hand, judges, and reports what it has; told again, it
//! ends at once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anneal_tests::chaos::{Evidence, Failure, Report, Settings, Stop, Total, rule, run};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    /// Makes no run, and says what all reports in this directory say together.
    #[arg(long, value_name = "DIR", exclusive = true)]
    sum: Option<PathBuf>,
    /// Where the cloud's journal, the histories and the members' logs are kept.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Judge again what an earlier run has kept there, instead of making one.
    #[arg(long, value_name = "DIR", exclusive = true)]
    judge: Option<PathBuf>,
}

fn judge_kept(dir: &Path) -> Result<u8, Failure> {
    let ruling = rule(&Evidence::read(dir)?);
    println!("{ruling}");
    for (kind, finding) in &ruling.guilty {
        println!("guilty            {kind}: {finding}");
    }
    Ok(ruling.exit_code())
}

/// Ctrl-C, and SIGTERM.
struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupts {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn told<T>(why: T) -> Failure
where
    T: std::fmt::Display,
{
    Failure::Harness(why.to_string())
}

/// Makes the run in a task of its own, so that a harness that panics still says with which code, and one that is ended at
/// once removes what it made.
async fn carry_out(settings: Settings) -> Result<Report, Failure> {
    let mut interrupts = Interrupts::listen().map_err(told)?;
    let (stopper, stop) = Stop::pair();
    let mut task = tokio::spawn(run(settings, stop));
    let ended = tokio::select! {
        ended = &mut task => ended,
        () = interrupts.next() => {
            eprintln!("chaos: interrupted; once more to end at once");
            stopper.stop();
            tokio::select! {
                ended = &mut task => ended,
                () = interrupts.next() => {
                    task.abort();
                    task.await
                }
            }
        }
    };
    ended.map_err(told)?
}

fn write(report: &Report, path: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report).map_err(told)?;
    fs::write(path, text + "\n").map_err(|e| told(format!("{}: {e}", path.display())))
}

async fn made(flags: Flags) -> Result<u8, Failure> {
    if let Some(dir) = &flags.sum {
        let total = Total::read(dir)?;
        println!("{total}");
        return Ok(total.exit_code());
    }
    if let Some(dir) = &flags.judge {
        return judge_kept(dir);
    }
    let cloud = std::env::current_exe().map_err(told)?;
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
        cloud: cloud.with_file_name("cloud"),
        keep: flags.keep,
        loud: true,
    };
    let report = match carry_out(settings).await {
        Ok(report) => {
            println!("{report}");
            report
        }
        Err(failure) => {
            eprintln!("chaos: {failure}");
            Report::of_failure(flags.seed, &failure)
        }
    };
    if let Some(path) = &flags.report {
        write(&report, path)?;
    }
    Ok(report.exit_code())
}

#[tokio::main]
async fn main() -> ExitCode {
    match made(Flags::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("chaos: {failure}");
            ExitCode::from(2)
        }
    }
}
