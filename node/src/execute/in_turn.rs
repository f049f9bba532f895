//! Queues, one for each key, that have their turns: what comes of one key stays in order, and no key waits for all of another.

use std::collections::{BTreeMap, VecDeque};

/// The queues.
#[derive(Debug)]
pub(super) struct InTurn<K, T> {
    /// None is empty.
    queues: BTreeMap<K, VecDeque<T>>,
    /// Their keys, whose turn is next in front.
    turns: VecDeque<K>,
    len: usize,
}

impl<K, T> Default for InTurn<K, T> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            turns: VecDeque::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy, T> InTurn<K, T> {
    /// How many things wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push_back(&mut self, key: K, thing: T) {
        self.queue(key).push_back(thing);
    }

    /// It comes before all else of its key.
    pub(super) fn push_front(&mut self, key: K, thing: T) {
        self.queue(key).push_front(thing);
    }

    /// What [`Self::pop`] gives next.
    pub(super) fn peek(&self) -> Option<&T> {
        let key = self.turns.front()?;
        self.queues.get(key)?.front()
    }

    /// The first thing of whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(K, T)> {
        let key = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        let thing = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.len -= 1;
        Some((key, thing))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The queue of a key, to which one thing is added.
    fn queue(&mut self, key: K) -> &mut VecDeque<T> {
        self.len += 1;
        self.queues.entry(key).or_insert_with(|| {
            self.turns.push_back(key);
            VecDeque::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_turns_and_each_keeps_its_order() {
        let mut queues = InTurn::default();
        for thing in 0..4 {
            queues.push_back('a', thing);
        }
        queues.push_back('b', 10);
        queues.push_back('b', 11);
        queues.push_front('b', 9);
        let mut order = Vec::new();
        while let Some(next) = queues.peek().copied() {
            let (_, thing) = queues.pop().expect("it was seen");
            assert_eq!(next, thing);
            order.push(thing);
        }
        assert_eq!(order, [0, 9, 1, 10, 2, 11, 3]);
        assert!(queues.is_empty() && queues.pop().is_none());
    }

    #[test]
    fn who_comes_back_waits_for_its_turn() {
        let mut queues = InTurn::default();
        queues.push_back('a', 1);
        queues.push_back('b', 2);
        assert_eq!(queues.pop(), Some(('a', 1)));
        queues.push_back('a', 3);
        assert_eq!(queues.pop(), Some(('b', 2)));
        assert_eq!(queues.len(), 1);
    }
}
