//! Starting, awaiting and stopping a process through its supervisor.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::record::{Record, State};
use super::{LAUNCH_WORD, PROCESS_LOG_TAIL_BYTES, Told};
use crate::call::CallContext;
use crate::companion::Companion;
use crate::failure::{Failure, FailureClass};
use crate::process_id::tagged;
use crate::wait::ended;

/// How often the record and the health are looked at.
const TICK: Duration = Duration::from_millis(50);
const PROBE_TICK: Duration = Duration::from_millis(250);
/// A process must run so long, healthy or not: most that can't do their work end at once, and if another
/// process has their port, that one answers for them.
const SETTLE: Duration = Duration::from_millis(300);
/// A supervisor writes its first state within this.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(10);
/// A supervisor ends so soon after its process.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Starts a supervisor for what was told, and waits until the process is healthy.
pub(super) async fn start(
    companion: &Companion,
    ctx: &CallContext,
    record: &Record,
    told: &Told,
) -> Result<State, Failure> {
    let cannot = |error: std::io::Error| {
        let message = format!("cannot write to {}: {error}", record.dir.display());
        Failure::nothing_done(FailureClass::Transient, message)
    };
    record
        .write_order(&told.order)
        .and_then(|()| record.clear_state())
        .map_err(cannot)?;
    ended(ctx)?;
    let launched = tokio::process::Command::new(&companion.program)
        .arg(LAUNCH_WORD)
        .arg(&record.dir)
        .arg(ctx.ends_at().boot_ms.to_string())
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(false)
        .output()
        .await;
    match launched {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let message = format!(
                "cannot start a supervisor: {}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
            return Err(Failure::nothing_done(FailureClass::Transient, message));
        }
        Err(error) => {
            let message = format!("cannot start a supervisor: {error}");
            return Err(Failure::nothing_done(FailureClass::Transient, message));
        }
    }
    match await_health(companion, ctx, record, told).await? {
        Ok(state) => Ok(state),
        Err(why) => {
            let printed = record.log_tail(PROCESS_LOG_TAIL_BYTES);
            stop(ctx, record, told.order.stop_timeout).await?;
            let message = if printed.is_empty() {
                why
            } else {
                format!("{why}: {printed}")
            };
            Err(Failure::nothing_done(FailureClass::Transient, message))
        }
    }
}

/// Waits until the process is healthy. The inner error says why it will not be; the outer one, that nobody
/// may wait any longer.
pub(super) async fn await_health(
    companion: &Companion,
    ctx: &CallContext,
    record: &Record,
    told: &Told,
) -> Result<Result<State, String>, Failure> {
    let began = Instant::now();
    let mut asked = String::new();
    loop {
        // It runs, so that nobody waits for it any more is no verdict.
        ended(ctx).map_err(|failure| Failure::no_verdict(failure.class, failure.message))?;
        let limit = told
            .health
            .as_ref()
            .map_or(LAUNCH_TIMEOUT, |health| health.timeout);
        let state = record.state();
        if state.over {
            return Ok(Err(state.ended.unwrap_or_else(|| "it ended".to_owned())));
        }
        let running = state
            .process
            .as_ref()
            .is_some_and(crate::process_id::ProcessId::is_alive);
        let tick = match (&told.health, running) {
            (None, true) if began.elapsed() >= SETTLE => return Ok(Ok(state)),
            (Some(health), true) => match health
                .ask(companion, ctx, told, limit.saturating_sub(began.elapsed()))
                .await
            {
                // An answer counts only if it was this process's: another may have the port.
                Ok(()) if began.elapsed() >= SETTLE && record.state() == state => {
                    return Ok(Ok(state));
                }
                Ok(()) => TICK,
                Err(answer) => {
                    asked = answer;
                    PROBE_TICK
                }
            },
            (None, true) | (_, false) => TICK,
        };
        if began.elapsed() >= limit {
            let how = if asked.is_empty() {
                state.ended.unwrap_or_else(|| "it did not start".to_owned())
            } else {
                asked
            };
            return Ok(Err(format!(
                "not healthy within {} seconds: {how}",
                limit.as_secs_f64()
            )));
        }
        tokio::time::sleep(tick).await;
    }
}

/// Stops the process and its supervisor, and whatever else carries the instance's tag.
pub(super) async fn stop(
    ctx: &CallContext,
    record: &Record,
    stop_timeout: Duration,
) -> Result<(), Failure> {
    let is_supervised = || {
        record
            .is_supervised()
            .map_err(|error| undecided(error.to_string()))
    };
    let began = Instant::now();
    let mut asked = false;
    while is_supervised()? {
        ended(ctx).map_err(|failure| Failure::no_verdict(failure.class, failure.message))?;
        // One that has just been launched has not written its state yet.
        let supervisor = record.state().supervisor;
        if let Some(supervisor) = supervisor.filter(|_| !asked) {
            asked = supervisor.signal(Signal::TERM);
        }
        if began.elapsed() >= stop_timeout + STOP_GRACE {
            let state = record.state();
            for process in [&state.supervisor, &state.process].into_iter().flatten() {
                process.signal(Signal::KILL);
            }
        }
        if began.elapsed() >= stop_timeout + 2 * STOP_GRACE {
            return Err(undecided("its supervisor does not end".to_owned()));
        }
        tokio::time::sleep(TICK).await;
    }
    end_strays(ctx).await
}

/// Ends whatever carries the instance's tag and has no supervisor: what left the process's group, and what a killed
/// supervisor left behind.
pub(super) async fn end_strays(ctx: &CallContext) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let strays = tagged(&ctx.instance_id);
        if strays.is_empty() {
            return Ok(());
        }
        for stray in &strays {
            stray.signal(Signal::KILL);
        }
        if began.elapsed() >= STOP_GRACE {
            let message = format!("process {} does not end", strays[0].pid);
            return Err(undecided(message));
        }
        tokio::time::sleep(TICK).await;
    }
}

fn undecided(message: String) -> Failure {
    Failure::no_verdict(FailureClass::Transient, message)
}
