//! What one provider call is told about its surroundings: who asks, under which lease, and until when.
//!
//! Knows nothing about Raft, assignments or how a lease is kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A moment on this machine's clock that counts suspend (CLOCK_BOOTTIME), in milliseconds since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootTime {
    /// Milliseconds since boot.
    pub boot_ms: u64,
}

impl BootTime {
    /// Later than any moment: no end.
    pub const NEVER: Self = Self { boot_ms: u64::MAX };

    /// This moment.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        Self {
            boot_ms: seconds * 1_000 + nanos / 1_000_000,
        }
    }

    /// The moment `wait` from this one.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            boot_ms: self.boot_ms.saturating_add(wait_ms),
        }
    }

    /// The moment `wait` before this one; an end that never comes stays so.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if self == Self::NEVER {
            self
        } else {
            Self {
                boot_ms: self.boot_ms.saturating_sub(wait_ms),
            }
        }
    }

    /// How long it is until this moment; zero if it has passed.
    pub fn remaining(self) -> Duration {
        Duration::from_millis(self.boot_ms.saturating_sub(Self::now().boot_ms))
    }

    /// Whether this moment has passed.
    pub fn has_passed(self) -> bool {
        Self::now() >= self
    }
}

/// Told as soon as a provider knows the physical id of what it is making, so that a lost call can be found again.
pub trait Progress: Send + Sync {
    /// The object being made will be known by this id.
    fn physical_id(&self, physical_id: &str);
}

/// What one call is told about its surroundings. Cheap to make: shared parts are shared.
#[derive(Clone)]
pub struct CallContext {
    /// The instance, as text that no other cluster on this host uses too: objects are marked with it.
    pub instance_id: String,
    /// The name of the one intended effect, the same over all attempts at it, in no other cluster the same.
    pub idempotency_key: String,
    /// Larger than that of any earlier holder of this instance. 0 for a look that nobody was assigned.
    pub fencing_token: u64,
    /// The instance lives on this host and on no other, so what this host has no record of never began.
    pub host_bound: bool,
    /// The stack's name, for messages and for names that people read.
    pub stack: Arc<str>,
    /// The resource's name, for the same.
    pub resource: Arc<str>,
    /// The call must have no effect after this; a provider that waits ends by then.
    pub not_after: BootTime,
    /// The end of the engine's lease as last known. Grows while the engine lives.
    pub lease: watch::Receiver<BootTime>,
    /// Set when the call is no longer wanted. A provider that can, stops.
    pub cancel: CancellationToken,
    /// Where the records and locks are that all engines of this host share; see [`default_host_dir`].
    pub host_dir: Arc<Path>,
    /// Told of an early physical id.
    pub progress: Option<Arc<dyn Progress>>,
}

impl CallContext {
    /// Reports the physical id as soon as it is known.
    pub fn report_physical_id(&self, physical_id: &str) {
        if let Some(progress) = &self.progress {
            progress.physical_id(physical_id);
        }
    }

    /// Whether effects are still permitted now: neither the lease nor the call's time is over, and nobody cancelled.
    pub fn may_act(&self) -> bool {
        !self.cancel.is_cancelled() && !self.ends_at().has_passed()
    }

    /// The moment at which effects cease to be permitted, as far as is known now.
    pub fn ends_at(&self) -> BootTime {
        self.not_after.min(*self.lease.borrow())
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("instance_id", &self.instance_id)
            .field("idempotency_key", &self.idempotency_key)
            .field("fencing_token", &self.fencing_token)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Overrides [`default_host_dir`].
pub const HOST_DIR_VARIABLE: &str = "ANNEAL_HOST_DIR";

/// The directory that all engines of this user on this host share: `$ANNEAL_HOST_DIR`, for root
/// `/var/lib/anneal/host`, else `$XDG_STATE_HOME/anneal` or `~/.local/state/anneal`.
pub fn default_host_dir() -> PathBuf {
    let given = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = given(HOST_DIR_VARIABLE) {
        return dir;
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/anneal/host");
    }
    let state =
        given("XDG_STATE_HOME").or_else(|| given("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("anneal")
}
