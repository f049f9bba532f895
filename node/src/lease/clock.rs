//! The clock that leases run on: it counts suspend, and nobody can set it.
//!
//! Knows nothing of leases or engines. `Instant` must not be used for a lease: it stands still while the
//! machine sleeps, and an engine that wakes would believe its lease to be as long as before.

use std::io;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

pub use anneal_provider::BootTime;

/// Distances on the lease clock, in milliseconds. None of them overflows.
pub trait Moment {
    /// So much later.
    #[must_use]
    fn plus_ms(self, ms: u64) -> Self;
    /// So much earlier, or the machine's start.
    #[must_use]
    fn minus_ms(self, ms: u64) -> Self;
    /// How long after `earlier`; 0 if it is not.
    fn since_ms(self, earlier: Self) -> u64;
}

impl Moment for BootTime {
    fn plus_ms(self, ms: u64) -> Self {
        Self {
            boot_ms: self.boot_ms.saturating_add(ms),
        }
    }

    fn minus_ms(self, ms: u64) -> Self {
        Self {
            boot_ms: self.boot_ms.saturating_sub(ms),
        }
    }

    fn since_ms(self, earlier: Self) -> u64 {
        self.boot_ms.saturating_sub(earlier.boot_ms)
    }
}

/// Waits for moments of [`BootTime`], also across a suspend.
#[derive(Debug)]
pub struct BootTimer(AsyncFd<std::os::fd::OwnedFd>);

impl BootTimer {
    /// A timer of the kernel; must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    #[allow(
        deprecated,
        reason = "an owned descriptor stays what it is for as long as it is registered; the replacement is unsafe"
    )]
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self(AsyncFd::new(fd)?))
    }

    /// Returns at `moment`, or at once if it has passed. May be dropped and called again.
    ///
    /// # Errors
    /// Those of the kernel's timer, none of which is expected.
    pub async fn until(&self, moment: BootTime) -> io::Result<()> {
        // A zero moment would disarm the timer instead of firing it.
        let ms = moment.boot_ms.max(1);
        let spec = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: Timespec {
                tv_sec: (ms / 1_000).try_into().unwrap_or(i64::MAX),
                tv_nsec: ((ms % 1_000) * 1_000_000).try_into().unwrap_or(0),
            },
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        while BootTime::now() < moment {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0_u8; 8];
            match rustix::io::read(self.0.get_ref(), &mut expirations) {
                Ok(_) => break,
                // An expiry of an earlier setting: wait for ours.
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_timer_fires_at_its_moment_and_can_be_set_anew() {
        let timer = BootTimer::new().expect("a timer");
        let far = BootTime::now().plus_ms(60_000);
        let gave_up =
            tokio::time::timeout(std::time::Duration::from_millis(5), timer.until(far)).await;
        assert!(gave_up.is_err(), "a minute has not passed");
        let near = BootTime::now().plus_ms(20);
        timer.until(near).await.expect("the kernel's timer");
        assert!(BootTime::now() >= near);
        timer.until(near).await.expect("a moment that has passed");
    }
}
