//! When each stack is looked over, and how far that has come.
//!
//! Pure: moments and chance are arguments. Knows nothing of resources but a cursor, so 10^6 of them cost
//! one entry here. A stack is walked once per interval; the walk takes as long as the budget of reads makes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Reads that one stack gets before the next has its turn.
pub const TURN_READS: usize = 64;

/// A walk starts this much before the interval is over, at most: a part of the interval, in percent, by which
/// walks of many stacks with the same interval drift apart, and which is left for the walk itself.
const JITTER_PERCENT: u64 = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pass<R> {
    interval_ms: u64,
    starts_at_ms: u64,
    /// The last resource visited; only meaningful while walking.
    cursor: Option<R>,
    walking: bool,
}

/// All stacks that are observed. `S` names a stack, `R` a resource of one.
#[derive(Debug)]
pub struct Walks<S, R> {
    passes: BTreeMap<S, Pass<R>>,
    waiting: BTreeSet<(u64, S)>,
    walking: VecDeque<S>,
}

impl<S, R> Default for Walks<S, R> {
    fn default() -> Self {
        Self {
            passes: BTreeMap::new(),
            waiting: BTreeSet::new(),
            walking: VecDeque::new(),
        }
    }
}

impl<S: Ord + Copy, R: Clone> Walks<S, R> {
    /// Takes in a stack's interval; 0 is never. A new or changed one starts at a moment of chance within
    /// the interval, so that a new leader does not look at everything at once.
    pub fn set(&mut self, stack: S, interval_ms: u64, now_ms: u64, chance: u64) {
        if self
            .passes
            .get(&stack)
            .is_some_and(|pass| pass.interval_ms == interval_ms)
        {
            return;
        }
        self.forget(stack);
        if interval_ms == 0 {
            return;
        }
        let starts_at_ms = now_ms + chance % interval_ms;
        self.waiting.insert((starts_at_ms, stack));
        self.passes.insert(
            stack,
            Pass {
                interval_ms,
                starts_at_ms,
                cursor: None,
                walking: false,
            },
        );
    }

    /// The stack is gone.
    pub fn forget(&mut self, stack: S) {
        if let Some(pass) = self.passes.remove(&stack) {
            self.waiting.remove(&(pass.starts_at_ms, stack));
            self.walking.retain(|walking| *walking != stack);
        }
    }

    /// The stacks that are observed.
    pub fn stacks(&self) -> impl Iterator<Item = S> {
        self.passes.keys().copied()
    }

    /// The stack whose turn it is, and the resource to go on after. It must be followed by `visited`.
    pub fn turn(&mut self, now_ms: u64) -> Option<(S, Option<R>)> {
        while let Some(&(starts_at_ms, stack)) = self.waiting.first() {
            if starts_at_ms > now_ms {
                break;
            }
            self.waiting.pop_first();
            self.walking.push_back(stack);
            if let Some(pass) = self.passes.get_mut(&stack) {
                pass.cursor = None;
                pass.walking = true;
            }
        }
        let stack = self.walking.pop_front()?;
        let cursor = self.passes.get(&stack).and_then(|pass| pass.cursor.clone());
        Some((stack, cursor))
    }

    /// Takes in how far a turn came; `ended` if the stack has no resource beyond `last`.
    pub fn visited(&mut self, stack: S, last: Option<R>, ended: bool, now_ms: u64, chance: u64) {
        let Some(pass) = self.passes.get_mut(&stack) else {
            return;
        };
        if !ended {
            pass.cursor = last;
            self.walking.push_back(stack);
            return;
        }
        let jitter_ms = pass.interval_ms * (chance % JITTER_PERCENT) / 100;
        let next_ms = pass.starts_at_ms + pass.interval_ms - jitter_ms;
        // A walk that took longer than the interval is followed by the next at once, not by two.
        pass.starts_at_ms = next_ms.max(now_ms);
        pass.walking = false;
        self.waiting.insert((pass.starts_at_ms, stack));
    }

    /// When there is something to do next; none if nothing is observed at all.
    pub fn next_at_ms(&self) -> Option<u64> {
        if !self.walking.is_empty() {
            return Some(0);
        }
        self.waiting.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_MS: u64 = 300_000;

    #[test]
    fn a_stack_is_walked_to_its_end_once_per_interval() {
        let mut walks = Walks::<u32, u32>::default();
        walks.set(1, INTERVAL_MS, 0, 1_000);
        assert_eq!(walks.turn(999), None, "not yet");
        assert_eq!(walks.turn(1_000), Some((1, None)));
        walks.visited(1, Some(64), false, 1_010, 0);
        assert_eq!(walks.turn(1_010), Some((1, Some(64))));
        walks.visited(1, Some(80), true, 1_020, 0);
        assert_eq!(walks.turn(INTERVAL_MS), None);
        assert_eq!(walks.next_at_ms(), Some(1_000 + INTERVAL_MS));
        assert_eq!(walks.turn(1_000 + INTERVAL_MS), Some((1, None)));
    }

    #[test]
    fn chance_never_makes_an_interval_longer() {
        for chance in 0..1_000 {
            let mut walks = Walks::<u32, u32>::default();
            walks.set(1, INTERVAL_MS, 0, 0);
            walks.turn(0);
            walks.visited(1, None, true, 10, chance);
            let next = walks.next_at_ms().expect("it goes on");
            assert!(next <= INTERVAL_MS && next > INTERVAL_MS / 2, "{next}");
        }
    }

    #[test]
    fn a_small_stack_has_its_turn_while_a_large_one_is_walked() {
        let mut walks = Walks::<u32, u32>::default();
        walks.set(1, INTERVAL_MS, 0, 0);
        walks.set(2, INTERVAL_MS, 0, 0);
        assert_eq!(walks.turn(0).map(|turn| turn.0), Some(1));
        walks.visited(1, Some(64), false, 0, 0);
        assert_eq!(walks.turn(0).map(|turn| turn.0), Some(2));
        walks.visited(2, Some(9), true, 0, 0);
        assert_eq!(walks.turn(0), Some((1, Some(64))));
    }

    #[test]
    fn zero_is_never_and_a_new_interval_starts_over() {
        let mut walks = Walks::<u32, u32>::default();
        walks.set(1, INTERVAL_MS, 0, 0);
        walks.set(1, 0, 0, 0);
        assert_eq!(walks.next_at_ms(), None);
        walks.set(1, 50, 7, 120);
        assert_eq!(walks.next_at_ms(), Some(7 + 20));
    }
}
