//! Waiting inside a call: ends when it is cancelled, when its time is over, or with the lease.

use std::time::Duration;

use crate::call::{BootTime, CallContext};
use crate::failure::{Failure, FailureClass};

/// The lease grows while we wait, and timers don't count suspend, so the clock is looked at this often.
const SLICE: Duration = Duration::from_millis(500);

/// Waits so many seconds; for ever if negative. Only for what has no effect outside while it waits.
pub(crate) async fn wait_seconds(ctx: &CallContext, seconds: f64) -> Result<(), Failure> {
    if seconds == 0.0 {
        return Ok(());
    }
    let until = match Duration::try_from_secs_f64(seconds) {
        Ok(wait) => BootTime::now().after(wait),
        Err(_) => BootTime::NEVER,
    };
    while !until.has_passed() {
        let left = until.remaining().min(ctx.ends_at().remaining()).min(SLICE);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = ctx.cancel.cancelled() => {}
        }
        ended(ctx)?;
    }
    Ok(())
}

/// The failure, if the call may not go on.
pub(crate) fn ended(ctx: &CallContext) -> Result<(), Failure> {
    let nothing_done = |class, message: &str| Err(Failure::nothing_done(class, message));
    if ctx.cancel.is_cancelled() {
        nothing_done(FailureClass::Aborted, "cancelled")
    } else if ctx.lease.borrow().has_passed() {
        nothing_done(FailureClass::Aborted, "the engine's lease ended")
    } else if ctx.not_after.has_passed() {
        nothing_done(FailureClass::Transient, "timed out")
    } else {
        Ok(())
    }
}
