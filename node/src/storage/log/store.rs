//! The log as the Raft library wants it.
//!
//! Knows nothing of how it is stored; that is next door.

use std::{fmt::Debug, io, ops::RangeBounds};

use futures_util::Stream;
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use tokio::sync::oneshot;

use super::{LogStore, cache, half_open, writer::Write};
use crate::{
    failpoint::{self, Failpoint},
    replica::types::{Entry, LogId, TypeConfig, Vote},
};

/// Bytes of entries in one message to a peer: well under gRPC's limit, and large enough that the cost
/// of a message does not count.
const READ_BYTES: usize = 2 << 20;

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = half_open(&range);
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ_BYTES)
    }

    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = half_open(&range);
        let pieces = Pieces {
            log: self.clone(),
            next: start,
            end,
            piece: Vec::new().into_iter(),
        };
        futures_util::stream::iter(pieces)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.lock().vote)
    }
}

/// A range of entries, read piece by piece.
struct Pieces {
    log: LogStore,
    next: u64,
    end: u64,
    piece: std::vec::IntoIter<Entry>,
}

impl Iterator for Pieces {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.piece.next() {
            self.next = entry.log_id.index + 1;
            return Some(Ok(entry));
        }
        if self.next >= self.end {
            return None;
        }
        match self.log.read(self.next, self.end, READ_BYTES) {
            Ok(entries) => self.piece = entries.into_iter(),
            Err(error) => {
                self.end = self.next;
                return Some(Err(error));
            }
        }
        let entry = self.piece.next()?;
        self.next = entry.log_id.index + 1;
        Some(Ok(entry))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.shared.lock();
        let last_purged_log_id = state.purged;
        Ok(LogState {
            last_purged_log_id,
            last_log_id: state.last.or(last_purged_log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        failpoint::pass(Failpoint::VoteBeforeSave);
        self.written(|done| Write::Vote { vote, done }).await?;
        failpoint::pass(Failpoint::VoteSaved);
        self.shared.lock().vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.writer.send(Write::Committed(committed))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.committed()
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        {
            let mut state = self.shared.lock();
            for entry in &entries {
                state.last = Some(entry.log_id);
                state.size.append(entry.log_id.index, cache::cost(entry));
                state.cache.push(entry.clone());
            }
        }
        self.writer.send(Write::Append { entries, flushed })
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let index = last.map_or(0, |last| last.index + 1);
        self.written(|done| Write::TruncateFrom { index, done })
            .await?;
        // Not before the writer is done: until then it reports older appends as on disk.
        let mut state = self.shared.lock();
        state.cache.truncate_from(index);
        state.size.truncate_from(index);
        if state.last.is_some_and(|newest| newest.index >= index) {
            state.last = last;
        }
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        failpoint::pass(Failpoint::PurgeBeforeWrite);
        self.written(|done| Write::Purge { upto, done }).await?;
        failpoint::pass(Failpoint::Purged);
        let mut state = self.shared.lock();
        state.cache.purge(upto.index);
        state.size.purge(upto.index);
        // By index: a checkpoint can end the log at an entry of an earlier term than one that was never decided.
        state.purged = Some(further(state.purged, upto));
        state.last = Some(further(state.last, upto));
        Ok(())
    }
}

impl LogStore {
    async fn written(
        &self,
        write: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Write,
    ) -> io::Result<()> {
        let (done, written) = oneshot::channel();
        self.writer.send(write(done))?;
        written
            .await
            .map_err(|_| io::Error::other("the log writer has ended"))?
    }
}

/// Whichever is further in the log. Raft's own order of ids is by term first.
fn further(known: Option<LogId>, upto: LogId) -> LogId {
    match known {
        Some(known) if known.index >= upto.index => known,
        _ => upto,
    }
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::*;
    use crate::replica::types::LeadershipId;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(LeadershipId { term, node_id: 1 }, index)
    }

    #[tokio::test]
    async fn a_log_that_is_purged_beyond_its_end_ends_there_whatever_the_terms() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogStore::open(directory.path(), 1 << 10).unwrap();
        let undecided = (0..=4).map(|index| Entry {
            log_id: id(6, index),
            payload: EntryPayload::Blank,
        });
        log.append(undecided, IOFlushed::noop()).await.unwrap();
        // What a checkpoint contains, which the leader of term 7 sent.
        log.purge(id(5, 10)).await.unwrap();
        let state = log.get_log_state().await.unwrap();
        assert_eq!(state.last_purged_log_id, Some(id(5, 10)));
        assert_eq!(state.last_log_id, Some(id(5, 10)));

        let next = Entry {
            log_id: id(7, 11),
            payload: EntryPayload::Blank,
        };
        log.append([next], IOFlushed::noop()).await.unwrap();
        log.purge(id(5, 10)).await.unwrap();
        assert_eq!(log.last(), Some(id(7, 11)));
    }

    #[tokio::test]
    async fn a_vote_that_is_cut_off_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogStore::open(directory.path(), 1 << 10).unwrap();
        let entries = [0, 1].map(|index| Entry {
            log_id: id(1, index),
            payload: EntryPayload::Blank,
        });
        log.append(entries, IOFlushed::noop()).await.unwrap();
        // Answered, what was asked for before is on disk: the next vote is a write of its own.
        log.save_vote(&Vote::new(1, 1)).await.unwrap();
        log.save_vote(&Vote::new(7, 1)).await.unwrap();
        drop(log);
        let files = std::fs::read_dir(directory.path()).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let newest = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .max()
            .unwrap();
        let file = std::fs::File::options().write(true).open(newest).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        let error = LogStore::open(directory.path(), 1 << 10).err().unwrap();
        assert!(error.to_string().contains("votes among them"), "{error}");
    }
}
