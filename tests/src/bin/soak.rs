//! A soak. Exit code 0: memory, disk, descriptors and threads were flat; 1: they were not; 2: the harness failed.

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anneal_tests::{
    interrupted,
    soak::{Settings, soak},
};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Keeps three members busy for long and watches what they use")]
struct Flags {
    /// How long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Stacks under change at a time.
    #[arg(long, default_value_t = 8)]
    stacks: usize,
    /// Resources of each.
    #[arg(long, default_value_t = 250)]
    resources: usize,
    /// Where the report is written as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let settings = Settings {
        duration: Duration::from_secs_f64(flags.minutes * 60.0),
        stacks: flags.stacks,
        resources: flags.resources,
        loud: true,
    };
    let mut soaking = tokio::spawn(soak(settings));
    let ended = tokio::select! {
        ended = &mut soaking => ended.map_err(|e| e.to_string()),
        () = interrupted("soak") => {
            // The members end with it.
            soaking.abort();
            let _ = soaking.await;
            Err("interrupted".to_owned())
        }
    };
    let report = match ended.and_then(|report| report) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("soak: the harness failed: {why}");
            return ExitCode::from(2);
        }
    };
    println!("{report}");
    if let Some(path) = flags.report {
        let written = serde_json::to_string_pretty(&report)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&path, text + "\n"));
        if let Err(error) = written {
            eprintln!("soak: {}: {error}", path.display());
            return ExitCode::from(2);
        }
    }
    ExitCode::from(u8::from(!report.guilty.is_empty()))
}
