//! Results on their way to the leader: kept in order, in batches, until known to be applied.
//!
//! Pure. Knows nothing of streams; a lost stream or a new leader is `start_over`. A result may so be proposed
//! twice; the state machine takes it once.

use std::collections::VecDeque;

use bytes::Bytes;

/// Results in one batch, at most: as many as one log entry of reports should carry.
pub const MAX_BATCH_RESULTS: usize = 512;
/// Bytes in one batch, at most, unless one result alone is larger: half of what a log entry may hold.
pub const MAX_BATCH_BYTES: usize = 256 * 1_024;
/// Batches sent and not yet answered, at most: enough to keep the log busy over a round trip.
pub const MAX_UNANSWERED_BATCHES: usize = 8;

/// Results not yet known to be applied, oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Bytes>,
    sent: VecDeque<(u64, Vec<Bytes>)>,
    last_sequence: u64,
}

impl Outbox {
    /// Adds a result.
    pub fn push(&mut self, result: Bytes) {
        self.waiting.push_back(result);
    }

    /// The next batch to send, if one may be sent now.
    pub fn next_batch(&mut self) -> Option<(u64, Vec<Bytes>)> {
        if self.waiting.is_empty() || self.sent.len() >= MAX_UNANSWERED_BATCHES {
            return None;
        }
        let mut batch: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        while let Some(result) = self.waiting.front() {
            bytes += result.len();
            if batch.len() >= MAX_BATCH_RESULTS || (bytes > MAX_BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        self.last_sequence += 1;
        self.sent.push_back((self.last_sequence, batch.clone()));
        Some((self.last_sequence, batch))
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
        for (_, batch) in self.sent.drain(position..).rev() {
            for result in batch.into_iter().rev() {
                self.waiting.push_front(result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            outbox.push(result(number));
            outbox.next_batch().expect("room for a batch");
        }
        outbox.answered(1, true);
        outbox.push(result(3));
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
            outbox.push(result(number));
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
            outbox.push(result(number));
        }
        let (_, batch) = outbox.next_batch().expect("a full one");
        assert_eq!(batch.len(), MAX_BATCH_RESULTS);
        for _ in 0..2 * MAX_UNANSWERED_BATCHES {
            outbox.push(Bytes::from(vec![0; MAX_BATCH_BYTES]));
        }
        let (_, batch) = outbox.next_batch().expect("the one left over");
        assert_eq!(batch.len(), 1, "a large one goes alone");
        let mut sent = 2;
        while outbox.next_batch().is_some() {
            sent += 1;
        }
        assert_eq!(sent, MAX_UNANSWERED_BATCHES);
    }
}
