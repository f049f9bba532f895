//! The newest entries of the log, in memory: what replication and apply read, so that they need not read
//! the disk. It also holds everything that is not on disk yet.
//!
//! Knows nothing of the disk but how far it has come.

use std::collections::VecDeque;

use crate::replica::types::{Entry, EntryPayload};

/// Bytes of memory counted for an entry beside its command.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A contiguous run of the newest entries.
pub(super) struct Cache {
    entries: VecDeque<Entry>,
    bytes: usize,
    limit_bytes: usize,
    /// The first index that is not on disk for certain: from here on nothing is dropped.
    undurable: u64,
}

impl Cache {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            limit_bytes,
            undurable: 0,
        }
    }

    /// The index of the oldest entry held.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.log_id.index)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Entry) {
        if let Some(last) = self.entries.back() {
            assert_eq!(
                entry.log_id.index,
                last.log_id.index + 1,
                "the log has no holes"
            );
        }
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
    }

    /// Everything up to and including this index is on disk; the oldest may go.
    pub(super) fn durable(&mut self, index: u64) {
        self.undurable = self.undurable.max(index + 1);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.limit_bytes {
            match self.entries.front() {
                Some(entry) if entry.log_id.index < self.undurable => self.drop_first(),
                _ => return,
            }
        }
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= cost(&entry);
        }
    }

    /// Forgets everything from this index on.
    pub(super) fn truncate_from(&mut self, index: u64) {
        while self
            .entries
            .back()
            .is_some_and(|entry| entry.log_id.index >= index)
        {
            let entry = self.entries.pop_back().expect("just looked at");
            self.bytes -= cost(&entry);
        }
        self.undurable = self.undurable.min(index);
    }

    /// Forgets everything up to and including this index.
    pub(super) fn purge(&mut self, index: u64) {
        while self.first().is_some_and(|first| first <= index) {
            self.drop_first();
        }
    }

    /// The entries held from `start` up to, not including, `end`, but no more of them than `max_bytes`
    /// (and always one, if there is one).
    pub(super) fn range(&self, start: u64, end: u64, max_bytes: usize) -> Vec<Entry> {
        let Some(first) = self.first() else {
            return Vec::new();
        };
        let from = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let upto = usize::try_from(end.saturating_sub(first)).unwrap_or(usize::MAX);
        let upto = upto.min(self.entries.len());
        if from >= upto {
            return Vec::new();
        }
        let mut bytes = 0;
        let mut taken = Vec::with_capacity((upto - from).min(1024));
        for entry in self.entries.range(from..upto) {
            bytes += cost(entry);
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        taken
    }
}

/// Bytes of memory that an entry takes, nearly.
pub(super) fn cost(entry: &Entry) -> usize {
    ENTRY_OVERHEAD_BYTES
        + match &entry.payload {
            EntryPayload::Normal(proposal) => proposal.command.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::replica::types::{LeadershipId, LogId, Proposal};

    fn entry(index: u64) -> Entry {
        Entry {
            log_id: LogId::new(
                LeadershipId {
                    term: 1,
                    node_id: 1,
                },
                index,
            ),
            payload: EntryPayload::Normal(Proposal {
                command: Bytes::from_static(&[0; 100]),
            }),
        }
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn what_is_not_on_disk_is_never_dropped() {
        let mut cache = Cache::new(2 * cost(&entry(0)));
        (1..=5).for_each(|index| cache.push(entry(index)));
        assert_eq!(cache.first(), Some(1));
        cache.durable(2);
        assert_eq!(cache.first(), Some(3));
        cache.durable(5);
        assert_eq!(cache.first(), Some(4));
    }

    #[test]
    fn a_truncated_index_is_not_on_disk_any_more() {
        let mut cache = Cache::new(0);
        (1..=3).for_each(|index| cache.push(entry(index)));
        cache.truncate_from(2);
        cache.durable(1);
        cache.push(entry(2));
        assert_eq!(indexes(&cache.range(0, 9, usize::MAX)), [2]);
    }

    #[test]
    fn a_range_is_cut_by_bytes_but_never_to_nothing() {
        let mut cache = Cache::new(usize::MAX);
        (1..=5).for_each(|index| cache.push(entry(index)));
        assert_eq!(indexes(&cache.range(2, 5, usize::MAX)), [2, 3, 4]);
        assert_eq!(indexes(&cache.range(2, 5, 2 * cost(&entry(0)))), [2, 3]);
        assert_eq!(indexes(&cache.range(2, 5, 1)), [2]);
    }
}
