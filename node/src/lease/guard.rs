//! Watches the engine's own lease on the clock that counts suspend, and wakes whoever runs under it when it is over.

use std::io;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::clock::BootTimer;
use super::engine::Engine;

/// Starts watching.
///
/// # Errors
/// If the process has no file descriptor left.
pub fn guard(engine: Arc<Engine>) -> io::Result<JoinHandle<()>> {
    let timer = BootTimer::new()?;
    Ok(tokio::spawn(async move {
        if let Err(error) = watch(&engine, &timer).await {
            // Without the timer calls still end by their own, less exact, clocks, until the member has.
            tracing::error!(%error, "the lease timer failed");
        }
    }))
}

async fn watch(engine: &Engine, timer: &BootTimer) -> io::Result<()> {
    let mut end = engine.lease_end();
    loop {
        let until = *end.borrow_and_update();
        if until.has_passed() {
            if end.changed().await.is_err() {
                return Ok(());
            }
            continue;
        }
        tokio::select! {
            reached = timer.until(until) => {
                reached?;
                if *end.borrow() == until {
                    tracing::warn!("the lease has ended without a renewal");
                    engine.lapsed();
                    end.mark_unchanged();
                }
            }
            changed = end.changed() => if changed.is_err() {
                return Ok(());
            },
        }
    }
}
