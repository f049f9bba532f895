//! When checkpoints are made and how much log is kept, by bytes and by count.
//!
//! Entries differ a thousandfold in size, so that a count alone bounds nothing. The log is purged only up
//! to what a durable checkpoint contains.

use std::time::{Duration, Instant};

use super::Replica;

/// Between two looks at the size of the log.
const INTERVAL: Duration = Duration::from_secs(1);

/// A checkpoint that was asked for and did not come is asked for again after this. Asking while one is being made does
/// nothing.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How much log may be there.
#[derive(Clone, Debug)]
pub struct LogLimits {
    /// A checkpoint is made once this many bytes of log came after the last one.
    pub checkpoint_bytes: u64,
    /// Or this many entries.
    pub checkpoint_entries: u64,
    /// Entries kept that a checkpoint contains, for members a little behind. At most as many:
    pub keep_entries: u64,
    /// And at most as many bytes of them.
    pub keep_bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        // A restart replays at most what came after the last flush of rows; a gigabyte of log is some
        // seconds of streaming at full load.
        Self {
            checkpoint_bytes: 256 << 20,
            checkpoint_entries: 200_000,
            keep_entries: 50_000,
            keep_bytes: 64 << 20,
        }
    }
}

/// Watches the size of the log until Raft stops.
pub(super) async fn run(replica: Replica, limits: LogLimits) {
    let mut asked = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let checkpoint = replica.checkpoints().current();
        let checkpoint = checkpoint
            .and_then(|it| it.position().last)
            .map_or(0, |last| last.index);
        let applied = *replica.applied().borrow();
        let log = replica.log();
        let large = log.bytes_after(checkpoint) > limits.checkpoint_bytes
            || applied.saturating_sub(checkpoint) > limits.checkpoint_entries;
        let now = Instant::now();
        if large && applied > checkpoint && is_due(asked, checkpoint, now) {
            asked = Some((checkpoint, now));
            if replica.raft().trigger().snapshot().await.is_err() {
                return;
            }
        }
        let keep_from = log
            .oldest_within(limits.keep_bytes)
            .max(checkpoint.saturating_sub(limits.keep_entries));
        let upto = keep_from.saturating_sub(1).min(checkpoint);
        let purged = log.purged().map_or(0, |purged| purged.index);
        if upto > purged && replica.raft().trigger().purge_log(upto).await.is_err() {
            return;
        }
    }
}

/// Whether to ask for a checkpoint, after it was last asked for with another being the newest: another has come since,
/// though not necessarily the one that was asked for, if Raft was making one of its own just then; or none has, for long.
fn is_due(asked: Option<(u64, Instant)>, checkpoint: u64, now: Instant) -> bool {
    asked.is_none_or(|(before, at)| before != checkpoint || now.duration_since(at) >= ASK_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_raft_made_of_its_own_does_not_stop_those_that_are_asked_for() {
        let now = Instant::now();
        assert!(is_due(None, 0, now));
        let asked = Some((100, now));
        assert!(!is_due(asked, 100, now), "it is being made");
        // Entry 250 was applied when it was asked for; Raft's own, begun before, ends at 200.
        assert!(is_due(asked, 200, now));
        assert!(is_due(asked, 100, now + ASK_AGAIN));
    }
}
