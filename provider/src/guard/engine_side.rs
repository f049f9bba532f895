//! The engine's end of the pipe: starts a guard, tells it of the growing lease, and reads its report.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

use super::{GUARD_WORD, HowEnded, OUTPUT_MAX_BYTES, Order, Renewal, Report};
use crate::call::CallContext;
use crate::companion::Companion;
use crate::failure::{Failure, FailureClass};
use crate::process_id::started_by;
use crate::read_values::digest;
use crate::wait::ended;

/// A guard ends within a second of its pipe's closing; so long it is waited for after a cancellation.
const KILL_PATIENCE: Duration = Duration::from_secs(3);
/// What keeps making others is chased so many rounds, so far apart.
const KILL_ROUNDS: usize = 50;
const KILL_TICK: Duration = Duration::from_millis(20);
/// So long before the call's end its command is ended, so that the engine still hears how.
const REPORT_TIME: Duration = Duration::from_secs(1);
/// A report is one line of output, some error output, and JSON's escapes, of which none is longer than six bytes.
const REPORT_MAX_BYTES: u64 = 6 * (OUTPUT_MAX_BYTES as u64) + 64 * 1024;

/// A command to run under a guard.
pub(crate) struct Guarded {
    pub(crate) program: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_directory: Option<PathBuf>,
    pub(crate) timeout: Option<Duration>,
    /// Whether it may change something, so that nothing else may act on the instance meanwhile.
    pub(crate) exclusive: bool,
}

/// How it ended. Its process group has ended with it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) how: HowEnded,
    pub(crate) last_line: Option<String>,
    pub(crate) error_tail: String,
}

/// Where the host-wide lock of an instance is.
fn lock_path(host_dir: &Path, instance_id: &str) -> PathBuf {
    host_dir
        .join("locks")
        .join(&digest(instance_id.as_bytes())[..32])
}

/// Runs a command to its end. If this call is dropped, or the engine dies or is frozen beyond its lease, the
/// command is killed within a second of that.
pub(crate) async fn run(
    companion: &Companion,
    ctx: &CallContext,
    command: Guarded,
) -> Result<Ended, Failure> {
    ended(ctx)?;
    let order = Order {
        lock: command
            .exclusive
            .then(|| lock_path(&ctx.host_dir, &ctx.instance_id)),
        lease_end: *ctx.lease.borrow(),
        not_after: ctx.not_after.before(REPORT_TIME),
        timeout_ms: command
            .timeout
            .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        program: command.program,
        environment: command.environment,
        working_directory: command.working_directory,
    };
    let mut guard = Command::new(&companion.program)
        .arg0("anneal-guard")
        .arg(GUARD_WORD)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let message = format!(
                "cannot start the guard {}: {error}",
                companion.program.display()
            );
            Failure::nothing_done(FailureClass::Transient, message)
        })?;
    let pipe = guard.stdin.take().expect("its input was asked to be piped");
    let output = guard
        .stdout
        .take()
        .expect("its output was asked to be piped");
    let mut report = Vec::new();
    let mut output = output.take(REPORT_MAX_BYTES);
    tokio::select! {
        read = output.read_to_end(&mut report) => {
            // What could not be read is no report, and that is said below.
            let _ = read;
        }
        never = keep_told(ctx, pipe, &order) => match never {},
        () = ctx.cancel.cancelled() => {
            // The pipe has closed with the branch above. What the guard still says comes too late to count.
            let _ = tokio::time::timeout(KILL_PATIENCE, guard.wait()).await;
            return Err(Failure::no_verdict(FailureClass::Aborted, "cancelled; the command was killed"));
        }
    }
    // Its lock is free, and its group gone, when it has ended.
    let _ = guard.wait().await;
    match serde_json::from_slice::<Report>(&report) {
        Ok(report) => verdict(report),
        Err(_) => {
            if command.exclusive {
                end_orphans(ctx).await;
            }
            Err(Failure::no_verdict(
                FailureClass::Transient,
                "the command's guard was killed",
            ))
        }
    }
}

/// Ends what a killed guard can't end any more, but for what hides its tags. The command itself dies with its guard.
async fn end_orphans(ctx: &CallContext) {
    for _ in 0..KILL_ROUNDS {
        let orphans = started_by(&ctx.instance_id, ctx.fencing_token);
        if orphans.is_empty() {
            return;
        }
        for orphan in orphans {
            orphan.signal(Signal::KILL);
        }
        tokio::time::sleep(KILL_TICK).await;
    }
}

/// Writes the order, then every new lease end. Holds the pipe open for as long as it is not dropped.
async fn keep_told(
    ctx: &CallContext,
    mut pipe: ChildStdin,
    order: &Order,
) -> std::convert::Infallible {
    let mut lease = ctx.lease.clone();
    let mut line = serde_json::to_string(order).expect("an order has only text keys");
    loop {
        line.push('\n');
        // If the guard is gone, its missing report says so.
        let _ = pipe.write_all(line.as_bytes()).await;
        if lease.changed().await.is_err() {
            // The lease ends as last told.
            std::future::pending::<()>().await;
        }
        let renewal = Renewal {
            lease_end: *lease.borrow_and_update(),
        };
        line = serde_json::to_string(&renewal).expect("a renewal has only text keys");
    }
}

fn verdict(report: Report) -> Result<Ended, Failure> {
    let over = "the engine's lease ended";
    match report {
        Report::Ended {
            how,
            last_line,
            error_tail,
        } => Ok(Ended {
            how,
            last_line,
            error_tail,
        }),
        Report::NotStarted {
            busy: true,
            message,
        } => Err(Failure::nothing_done(FailureClass::Transient, message)),
        Report::NotStarted {
            busy: false,
            message,
        } => Err(Failure::refused(message)),
        Report::LeaseOver { before: true } => {
            Err(Failure::nothing_done(FailureClass::Aborted, over))
        }
        Report::LeaseOver { before: false } => Err(Failure::no_verdict(
            FailureClass::Aborted,
            format!("{over}; the command was killed"),
        )),
    }
}
