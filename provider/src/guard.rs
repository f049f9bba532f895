//! The guard: a small process between an engine and a command that it runs.
//!
//! It holds a host-wide lock on the instance and a pipe to the engine, checks the lease just before the
//! command starts, and ends all of the command's process group when the command is done, when its time is
//! over, when the pipe closes (the engine is gone), or when the last lease end that it was told of passes,
//! even if the engine is frozen. It knows nothing about resources.
//!
//! The engine writes one [`Order`] as a line of JSON to the guard's input, then a [`Renewal`] whenever its
//! lease grows; the guard writes one [`Report`] to its output and ends.

mod engine_side;
mod output;
mod start;
mod watch;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::call::BootTime;

pub(crate) use engine_side::{Ended, Guarded, run};
pub(crate) use start::{start_arguments, start_main};
pub(crate) use watch::guard_main;

/// The hidden first argument that makes this program a guard.
pub(crate) const GUARD_WORD: &str = "guard";
/// The hidden first argument of the step between guard and command.
pub(crate) const START_WORD: &str = "guard-start";
/// So much of the end of a command's output is kept, per stream. A line that is longer carries no attributes.
pub(crate) const OUTPUT_MAX_BYTES: usize = 1024 * 1024;
/// So much of the end of a command's error output is told when it fails.
pub(crate) const ERROR_TAIL_BYTES: usize = 2 * 1024;

/// What the guard is to run.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// What nobody else of this host may hold meanwhile. None for what only looks.
    lock: Option<PathBuf>,
    lease_end: BootTime,
    not_after: BootTime,
    timeout_ms: Option<u64>,
    program: Vec<String>,
    environment: Vec<(String, String)>,
    working_directory: Option<PathBuf>,
}

/// The lease has grown.
#[derive(Debug, Serialize, Deserialize)]
struct Renewal {
    lease_end: BootTime,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Report {
    /// The command was not started. `busy` if that is because another guard holds the instance.
    NotStarted { busy: bool, message: String },
    /// The lease ended: nothing was started if `before`, else what ran was killed.
    LeaseOver { before: bool },
    /// The command has ended, and its process group with it.
    Ended {
        how: HowEnded,
        last_line: Option<String>,
        error_tail: String,
    },
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HowEnded {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// By the guard, because its time was over.
    TimedOut {
        /// How long it ran.
        after_ms: u64,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hostile::spoilt;

    fn order() -> Order {
        Order {
            lock: Some("/run/lock".into()),
            lease_end: BootTime { boot_ms: 5_000 },
            not_after: BootTime::NEVER,
            timeout_ms: Some(u64::MAX),
            program: vec!["sh".to_owned(), "-c".to_owned(), "é".to_owned()],
            environment: vec![("A".to_owned(), "b".to_owned())],
            working_directory: None,
        }
    }

    fn reports() -> Vec<Report> {
        vec![
            Report::NotStarted {
                busy: true,
                message: "é".to_owned(),
            },
            Report::LeaseOver { before: false },
            Report::Ended {
                how: HowEnded::Exited(i32::MIN),
                last_line: Some("{\"a\": 1}".to_owned()),
                error_tail: "\u{0}".to_owned(),
            },
        ]
    }

    fn written(value: &impl Serialize) -> Vec<u8> {
        serde_json::to_vec(value).unwrap()
    }

    proptest! {
        #[test]
        fn spoilt_orders_and_renewals_are_refused_or_read_the_same_again(bytes in spoilt(written(&order()))) {
            if let Ok(order) = serde_json::from_slice::<Order>(&bytes) {
                let again: Order = serde_json::from_slice(&written(&order)).unwrap();
                prop_assert_eq!(format!("{order:?}"), format!("{again:?}"));
            }
            let _ = serde_json::from_slice::<Renewal>(&bytes);
        }

        #[test]
        fn spoilt_reports_are_refused_or_read_the_same_again(
            bytes in prop::sample::select(reports()).prop_flat_map(|report| spoilt(written(&report))),
        ) {
            if let Ok(report) = serde_json::from_slice::<Report>(&bytes) {
                prop_assert_eq!(serde_json::from_slice::<Report>(&written(&report)).unwrap(), report);
            }
        }
    }
}
