//! Stacks whose turn came while there was no room for what they have: they come first in the next decision.
//!
//! Pure. Without it, a decision that gives away the one place that became free would always begin with the same stack,
//! since a decision ends only when every stack has had its turn, and the next begins where it ended.

use std::collections::{BTreeSet, VecDeque};

/// The stacks, the one that waits longest first.
#[derive(Debug)]
pub(super) struct Overdue<K> {
    queue: VecDeque<K>,
    known: BTreeSet<K>,
    /// How many of them were there when the decision began, and have not had their turn in it.
    left: usize,
}

impl<K> Default for Overdue<K> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            known: BTreeSet::new(),
            left: 0,
        }
    }
}

impl<K: Ord + Copy> Overdue<K> {
    /// A decision begins.
    pub(super) fn begin(&mut self) {
        self.left = self.queue.len();
    }

    /// The next one that has its turn before all others, once a decision.
    pub(super) fn next(&mut self) -> Option<K> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let next = self.queue.pop_front()?;
        self.known.remove(&next);
        Some(next)
    }

    /// There was no room for it.
    pub(super) fn passed_over(&mut self, key: K) {
        if self.known.insert(key) {
            self.queue.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_longest_comes_first_and_once_a_decision() {
        let mut overdue = Overdue::default();
        overdue.begin();
        assert_eq!(overdue.next(), None);
        overdue.passed_over(1);
        overdue.passed_over(2);
        overdue.passed_over(1);
        assert_eq!(overdue.next(), None, "not in the same decision");
        overdue.begin();
        assert_eq!(overdue.next(), Some(1));
        overdue.passed_over(1);
        assert_eq!(overdue.next(), Some(2));
        assert_eq!(overdue.next(), None);
        overdue.begin();
        assert_eq!(overdue.next(), Some(1), "it waits still");
    }

    #[test]
    fn what_a_decision_does_not_get_to_stays_in_front() {
        let mut overdue = Overdue::default();
        overdue.passed_over(1);
        overdue.passed_over(2);
        overdue.begin();
        assert_eq!(overdue.next(), Some(1));
        overdue.passed_over(1);
        overdue.begin();
        assert_eq!(overdue.next(), Some(2));
    }
}
