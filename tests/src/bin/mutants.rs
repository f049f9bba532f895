//! Breaks the code on purpose and asks whether it is noticed. Exit code 0: every mutant was found, and nothing in the code
//! as it is; 1: not so; 2: the harness failed.

use std::{fs, io, path::PathBuf, process::ExitCode};

use anneal_tests::mutants::{self, Settings, workspace};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "Breaks the code on purpose, and asks whether the tests notice")]
struct Flags {
    /// Only mutants whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the copy of the tree is broken and built; kept for the next run.
    #[arg(long)]
    directory: PathBuf,
    /// Where the report is written as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

async fn examine(flags: &Flags) -> io::Result<bool> {
    let mut mutants = mutants::all(&workspace().join("tests/mutants"))?;
    let asked = |name: &str| flags.only.iter().any(|part| name.contains(part));
    mutants.retain(|mutant| flags.only.is_empty() || asked(&mutant.name));
    let settings = Settings {
        from: workspace(),
        directory: flags.directory.clone(),
        mutants,
    };
    let report = mutants::run(&settings).await?;
    if let Some(path) = &flags.report {
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    Ok(report.is_pass())
}

async fn interrupted() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        ended = tokio::signal::ctrl_c() => ended,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    // What is dropped here ends what it has started.
    let ended = tokio::select! {
        ended = examine(&flags) => ended,
        ended = interrupted() => {
            ended.and_then(|()| Err(io::Error::other("interrupted")))
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: the harness failed: {error}");
            ExitCode::from(2)
        }
    }
}
