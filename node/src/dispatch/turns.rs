//! Whose turn it is: deficit round-robin over stacks with something ready.
//!
//! Pure. Knows nothing of resources or engines; only how many items each stack has had. A stack of 10^6
//! and a stack of 10 get the same number of items per round, so the small one waits for at most one round.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Items that a stack gets per round. Small, so that a round over a few stacks fits into one batch.
pub const QUANTUM_ITEMS: i64 = 64;

/// The order of turns. `K` names a stack.
#[derive(Debug)]
pub struct Turns<K> {
    after: Option<K>,
    /// What stacks have taken beyond their turns; a chunk is not torn. Only those that owe are here.
    debts: BTreeMap<K, i64>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self {
            after: None,
            debts: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Turns<K> {
    /// The next stack and how many items it may take now. `next_ready` gives the first stack beyond a bound
    /// that has something to take; none at all ends the search, and forgets every debt.
    pub fn next(&mut self, mut next_ready: impl FnMut(Bound<K>) -> Option<K>) -> Option<(K, i64)> {
        loop {
            let beyond = self.after.map_or(Bound::Unbounded, Bound::Excluded);
            let key = match next_ready(beyond).or_else(|| next_ready(Bound::Unbounded)) {
                Some(key) => key,
                None => {
                    self.debts.clear();
                    return None;
                }
            };
            self.after = Some(key);
            let credit = QUANTUM_ITEMS - self.debts.remove(&key).unwrap_or(0);
            if credit > 0 {
                return Some((key, credit));
            }
            self.debts.insert(key, -credit);
        }
    }

    /// What a stack may take that has its turn before the others. The order of the others stays.
    pub fn out_of_turn(&mut self, key: K) -> i64 {
        let debt = self.debts.remove(&key).unwrap_or(0);
        (QUANTUM_ITEMS - debt).max(1)
    }

    /// Notes what a stack took in its turn.
    pub fn took(&mut self, key: K, credit: i64, items: i64) {
        if items > credit {
            self.debts.insert(key, items - credit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn next(turns: &mut Turns<u32>, ready: &BTreeSet<u32>) -> Option<(u32, i64)> {
        turns.next(|beyond| ready.range((beyond, Bound::Unbounded)).next().copied())
    }

    #[test]
    fn every_ready_stack_comes_once_a_round_however_large() {
        let ready = BTreeSet::from([1, 2, 3]);
        let mut turns = Turns::default();
        let order: Vec<u32> = (0..6)
            .filter_map(|_| next(&mut turns, &ready))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn a_stack_that_took_a_large_chunk_sits_out_until_the_others_caught_up() {
        let ready = BTreeSet::from([1, 2]);
        let mut turns = Turns::default();
        let mut taken = BTreeMap::from([(1, 0), (2, 0)]);
        for _ in 0..400 {
            let (key, credit) = next(&mut turns, &ready).expect("both stay ready");
            let items = if key == 1 { credit + 150 } else { credit };
            turns.took(key, credit, items);
            *taken.get_mut(&key).expect("one of the two") += items;
        }
        let difference: i64 = taken[&1] - taken[&2];
        assert!(difference.abs() <= 300, "they stay level: {taken:?}");
    }

    #[test]
    fn one_in_debt_alone_is_not_kept_waiting_for_nobody() {
        let ready = BTreeSet::from([7]);
        let mut turns = Turns::default();
        turns.took(7, 0, 1_000);
        assert!(next(&mut turns, &ready).is_some());
    }

    #[test]
    fn nothing_ready_is_no_turn_and_no_debt() {
        let mut turns = Turns::<u32>::default();
        turns.took(7, 0, 1_000);
        assert_eq!(next(&mut turns, &BTreeSet::new()), None);
        assert!(turns.debts.is_empty());
    }
}
