//! How many bytes of log there are, and from which index on: so that it is kept by bytes as well as by count.
//!
//! A mark is set every [`MARK_BYTES`]; what lies between two marks is not told apart.

use std::collections::VecDeque;

/// Bytes between two marks: fine enough against logs of hundreds of MiB.
const MARK_BYTES: u64 = 1 << 20;

/// Bytes appended, with marks.
#[derive(Default)]
pub(super) struct LogSize {
    /// Bytes ever appended, truncated ones included.
    total: u64,
    /// Index of an entry, and the total before it.
    marks: VecDeque<(u64, u64)>,
}

impl LogSize {
    pub(super) fn append(&mut self, index: u64, bytes: usize) {
        if self
            .marks
            .back()
            .is_none_or(|(_, at)| self.total >= at + MARK_BYTES)
        {
            self.marks.push_back((index, self.total));
        }
        self.total += bytes as u64;
    }

    pub(super) fn truncate_from(&mut self, index: u64) {
        while self
            .marks
            .back()
            .is_some_and(|(marked, _)| *marked >= index)
        {
            self.marks.pop_back();
        }
    }

    pub(super) fn purge(&mut self, index: u64) {
        while self
            .marks
            .get(1)
            .is_some_and(|(marked, _)| *marked <= index)
        {
            self.marks.pop_front();
        }
    }

    /// Bytes after this index, as far as marks tell.
    pub(super) fn bytes_after(&self, index: u64) -> u64 {
        let marked = self.marks.partition_point(|(marked, _)| *marked <= index);
        let at = match marked
            .checked_sub(1)
            .or(Some(0))
            .and_then(|mark| self.marks.get(mark))
        {
            Some((_, at)) => *at,
            None => return 0,
        };
        self.total - at
    }

    /// The oldest marked index after which there are no more than `bytes`.
    pub(super) fn oldest_within(&self, bytes: u64) -> u64 {
        let enough = self.total.saturating_sub(bytes);
        let mark = self.marks.partition_point(|(_, at)| *at < enough);
        self.marks
            .get(mark)
            .or(self.marks.back())
            .map_or(0, |(index, _)| *index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: usize = MARK_BYTES as usize / 4;

    fn of(entries: u64) -> LogSize {
        let mut size = LogSize::default();
        (1..=entries).for_each(|index| size.append(index, ENTRY));
        size
    }

    #[test]
    fn the_oldest_index_within_a_size_leaves_no_more_than_that() {
        let size = of(40);
        let kept = size.oldest_within(4 * MARK_BYTES);
        assert!((21..=25).contains(&kept), "{kept}");
        assert!(size.bytes_after(kept) <= 4 * MARK_BYTES);
        assert_eq!(size.oldest_within(u64::MAX), 1);
    }

    #[test]
    fn purged_and_truncated_marks_are_forgotten() {
        let mut size = of(40);
        size.purge(20);
        assert_eq!(size.oldest_within(u64::MAX), 17);
        size.truncate_from(1);
        assert_eq!(size.oldest_within(u64::MAX), 0);
    }
}
