//! How much text of submissions may be in receipt at once, by bytes: whoever does not fit waits, for a time.
//!
//! Submissions share a pool. One that finds no room in it may take the one turn, and with it as much as a submission may
//! have: so that several that are half received never wait for each other without end. Knows nothing of what is
//! submitted.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::submit::{Refused, Unavailable};

/// What submissions in receipt, and those being worked out, hold together beside the one that has the turn.
const POOL_BYTES: usize = 256 << 20;
/// The pool is handed out in pieces of this.
const PIECE_BYTES: usize = 1 << 10;
/// Who finds no room for this long is told to come again. Most submissions take less than a second.
const ROOM_PATIENCE: Duration = Duration::from_secs(30);

/// The room for submissions; clones share it.
#[derive(Clone)]
pub(crate) struct Room {
    pool: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    patience: Duration,
}

/// What one submission has of it, until it is dropped.
pub(crate) struct Share {
    room: Room,
    held: Option<OwnedSemaphorePermit>,
    /// Pieces taken that are not used up yet, in bytes.
    spare_bytes: usize,
    turn: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::of(POOL_BYTES, ROOM_PATIENCE)
    }

    fn of(pool_bytes: usize, patience: Duration) -> Self {
        Self {
            pool: Arc::new(Semaphore::new(pool_bytes / PIECE_BYTES)),
            turn: Arc::new(Semaphore::new(1)),
            patience,
        }
    }

    /// The share of a new submission: nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share {
            room: self.clone(),
            held: None,
            spare_bytes: 0,
            turn: None,
        }
    }
}

impl Share {
    /// Takes room for so many more bytes, as soon as there is any.
    ///
    /// # Errors
    /// Unavailable: there was none for too long.
    pub(crate) async fn take(&mut self, bytes: usize) -> Result<(), Refused> {
        if self.turn.is_some() {
            return Ok(());
        }
        if let Some(left) = self.spare_bytes.checked_sub(bytes) {
            self.spare_bytes = left;
            return Ok(());
        }
        let more = bytes - self.spare_bytes;
        let pieces = more.div_ceil(PIECE_BYTES);
        let Room {
            pool,
            turn,
            patience,
        } = self.room.clone();
        let count = u32::try_from(pieces).unwrap_or(u32::MAX);
        tokio::select! {
            // The turn is for those that find no room.
            biased;
            Ok(permit) = pool.acquire_many_owned(count) => {
                self.spare_bytes = pieces * PIECE_BYTES - more;
                match &mut self.held {
                    Some(held) => held.merge(permit),
                    None => self.held = Some(permit),
                }
                Ok(())
            }
            Ok(permit) = turn.acquire_owned() => {
                self.turn = Some(permit);
                Ok(())
            }
            () = tokio::time::sleep(patience) => Err(Refused::Unavailable(Unavailable {
                reason: "busy",
                message: format!(
                    "this member is taking in as much as it can hold, and had no room for {} s",
                    patience.as_secs()
                ),
                ..Unavailable::default()
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_does_not_fit_waits_and_is_refused_in_the_end() {
        let room = Room::of(8 * PIECE_BYTES, Duration::from_millis(1));
        let mut first = room.share();
        first.take(8 * PIECE_BYTES - 1).await.unwrap();
        first.take(1).await.unwrap();
        let mut turn = room.share();
        turn.take(1).await.unwrap();
        turn.take(100 * PIECE_BYTES).await.unwrap();
        let mut third = room.share();
        let refused = third.take(1).await;
        assert!(
            matches!(&refused, Err(Refused::Unavailable(why)) if why.reason == "busy"),
            "{refused:?}"
        );
        drop(first);
        third.take(8 * PIECE_BYTES).await.unwrap();
    }

    #[tokio::test]
    async fn two_that_are_half_received_do_not_wait_for_each_other() {
        let room = Room::of(8 * PIECE_BYTES, LONG);
        let (mut first, mut second) = (room.share(), room.share());
        first.take(4 * PIECE_BYTES).await.unwrap();
        second.take(4 * PIECE_BYTES).await.unwrap();
        let first = async move { first.take(PIECE_BYTES).await };
        let second = async move { second.take(PIECE_BYTES).await };
        let both = tokio::time::timeout(LONG / 2, async { tokio::join!(first, second) });
        let (first, second) = both.await.expect("one goes, then the other");
        first.unwrap();
        second.unwrap();
    }
}
