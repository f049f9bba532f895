//! Results on their way to the leader: kept until known to be applied, in batches in which stacks have their turns.
//!
//! Results of one stack stay in order; no stack waits for all that another one has to say. Pure. Knows nothing of streams; a
//! lost stream or a new leader is `start_over`. A result may so be proposed twice; the state machine takes it once.

use std::collections::VecDeque;

use anneal_statemachine::id::StackId;
use bytes::Bytes;

use super::in_turn::InTurn;

/// Results in one batch, at most: as many as one log entry of reports should carry.
pub const MAX_BATCH_RESULTS: usize = 512;
/// Bytes in one batch, at most, unless one result alone is larger: half of what a log entry may hold.
pub const MAX_BATCH_BYTES: usize = 256 * 1_024;
/// Batches sent and not yet answered, at most: enough to keep the log busy over a round trip.
pub const MAX_UNANSWERED_BATCHES: usize = 8;

/// Results not yet known to be applied.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: InTurn<StackId, Bytes>,
    sent: VecDeque<(u64, Vec<(StackId, Bytes)>)>,
    last_sequence: u64,
}

impl Outbox {
    /// Adds a result about a stack.
    pub fn push(&mut self, stack: StackId, result: Bytes) {
        self.waiting.push_back(stack, result);
    }

    /// The next batch to send, if one may be sent now.
    pub fn next_batch(&mut self) -> Option<(u64, Vec<Bytes>)> {
        if self.waiting.is_empty() || self.sent.len() >= MAX_UNANSWERED_BATCHES {
            return None;
        }
        let mut batch: Vec<(StackId, Bytes)> = Vec::new();
        let mut bytes = 0;
        while let Some(result) = self.waiting.peek() {
            bytes += result.len();
            if batch.len() >= MAX_BATCH_RESULTS || (bytes > MAX_BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            batch.extend(self.waiting.pop());
        }
        self.last_sequence += 1;
        let results = batch.iter().map(|(_, result)| result.clone()).collect();
        self.sent.push_back((self.last_sequence, batch));
        Some((self.last_sequence, results))
    }

    /// The leader answered a batch. One that it gave up on is sent again, and all sent after it.
    pub fn answered(&mut self, sequence: u64, applied: bool) {
        let Some(position) = self.sent.iter().position(|(sent, _)| *sent == sequence) else {
            return;
        };
        if applied {
            self.sent.remove(position);
        } else {
            self.back_from(position);
        }
    }

    /// The stream is a new one: nobody will answer what was sent on the old.
    pub fn start_over(&mut self) {
        self.back_from(0);
    }

    /// How many results are not known to be applied.
    pub fn len(&self) -> usize {
        let sent: usize = self.sent.iter().map(|(_, batch)| batch.len()).sum();
        self.waiting.len() + sent
    }

    /// Whether every result is known to be applied.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    fn back_from(&mut self, position: usize) {
        let back = self.sent.drain(position..).rev();
        for (stack, result) in back.flat_map(|(_, batch)| batch.into_iter().rev()) {
            self.waiting.push_front(stack, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: StackId = StackId(1);
    const OTHER: StackId = StackId(2);

    fn result(number: usize) -> Bytes {
        Bytes::from(number.to_string())
    }

    fn numbers(batch: &[Bytes]) -> Vec<String> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        batch.iter().map(text).collect()
    }

    #[test]
    fn the_leader_dies_and_everything_unanswered_goes_again_in_order() {
        let mut outbox = Outbox::default();
        for number in 0..3 {
            outbox.push(ONE, result(number));
            outbox.next_batch().expect("room for a batch");
        }
        outbox.answered(1, true);
        outbox.push(ONE, result(3));
        outbox.start_over();
        let (sequence, batch) = outbox.next_batch().expect("what is left");
        assert_eq!(numbers(&batch), ["1", "2", "3"]);
        outbox.answered(2, true);
        assert_eq!(outbox.len(), 3, "an answer to the old sending says nothing");
        outbox.answered(sequence, true);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_batch_given_up_goes_again_with_what_followed_it() {
        let mut outbox = Outbox::default();
        for number in 0..3 {
            outbox.push(ONE, result(number));
            outbox.next_batch().expect("room for a batch");
        }
        outbox.answered(2, false);
        let (_, batch) = outbox.next_batch().expect("what came back");
        assert_eq!(numbers(&batch), ["1", "2"]);
    }

    #[test]
    fn batches_are_bounded_in_count_bytes_and_number() {
        let mut outbox = Outbox::default();
        for number in 0..MAX_BATCH_RESULTS + 1 {
            outbox.push(ONE, result(number));
        }
        let (_, batch) = outbox.next_batch().expect("a full one");
        assert_eq!(batch.len(), MAX_BATCH_RESULTS);
        for _ in 0..2 * MAX_UNANSWERED_BATCHES {
            outbox.push(ONE, Bytes::from(vec![0; MAX_BATCH_BYTES]));
        }
        let (_, batch) = outbox.next_batch().expect("the one left over");
        assert_eq!(batch.len(), 1, "a large one goes alone");
        let mut sent = 2;
        while outbox.next_batch().is_some() {
            sent += 1;
        }
        assert_eq!(sent, MAX_UNANSWERED_BATCHES);
    }

    #[test]
    fn stacks_have_their_turns_and_each_keeps_its_order() {
        let mut outbox = Outbox::default();
        for number in 0..2 * MAX_BATCH_RESULTS {
            outbox.push(ONE, result(number));
        }
        outbox.push(OTHER, Bytes::from_static(b"a"));
        outbox.push(OTHER, Bytes::from_static(b"b"));
        let (_, batch) = outbox.next_batch().expect("a full one");
        assert_eq!(numbers(&batch[..5]), ["0", "a", "1", "b", "2"]);
        assert_eq!(outbox.len(), 2 * MAX_BATCH_RESULTS + 2);
        outbox.start_over();
        let (_, again) = outbox.next_batch().expect("the same");
        let of_one = |batch: &[Bytes]| {
            let mut numbers = numbers(batch);
            numbers.retain(|word| word.parse::<usize>().is_ok());
            numbers
        };
        assert_eq!(of_one(&again), of_one(&batch));
    }
}
