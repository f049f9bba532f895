//! How even the pace is and what it costs: the longest that something has taken since the process began, told in the log each
//! time that is outdone, and how much there has been of it (target `anneal_node::pace`, level debug).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest of one kind of time.
pub(crate) struct Longest {
    what: &'static str,
    us: AtomicU64,
}

impl Longest {
    /// Nothing has been taken yet. `what` is how it is called in the log.
    pub(crate) const fn new(what: &'static str) -> Self {
        let us = AtomicU64::new(0);
        Self { what, us }
    }

    /// It took so long this time.
    pub(crate) fn took(&self, time: Duration) {
        self.note(None, time);
    }

    /// It took so long this time, because of this.
    pub(crate) fn took_for(&self, cause: &'static str, time: Duration) {
        self.note(Some(cause), time);
    }

    fn note(&self, cause: Option<&'static str>, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if us > self.us.fetch_max(us, Ordering::Relaxed) {
            let ms = us as f64 / 1_000.0;
            tracing::debug!(ms, cause, "{} so far", self.what);
        }
    }
}

/// Bytes until a total is told again.
const TOLD_EVERY: u64 = 16 << 10;

/// How many bytes there have been of something.
pub(crate) struct Total {
    what: &'static str,
    bytes: AtomicU64,
}

impl Total {
    /// None yet. `what` is how they are called in the log.
    pub(crate) const fn new(what: &'static str) -> Self {
        let bytes = AtomicU64::new(0);
        Self { what, bytes }
    }

    /// So many more.
    pub(crate) fn add(&self, more: usize) {
        let more = more as u64;
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if bytes / TOLD_EVERY != (bytes - more) / TOLD_EVERY {
            tracing::debug!(bytes, "{} so far", self.what);
        }
    }
}
