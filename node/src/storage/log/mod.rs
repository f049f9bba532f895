//! The Raft log on disk: a RocksDB of its own, one writer thread, one flush for all that waits.
//!
//! An appended entry can be read at once, from memory, and is reported as appended once it is on disk.
//! Records carry checksums, and a log that lacks something it may have promised is not opened. Knows
//! nothing of commands, and of Raft only the contract of its storage trait.

mod cache;
mod open;
mod size;
mod store;
mod watermark;
mod writer;

use std::{
    io,
    ops::Bound,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use anneal_proto::log::v1::Identity;
use bytes::Bytes;
use prost::Message;
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, Options, ReadOptions, WriteOptions};
use tokio::sync::watch;

use self::{cache::Cache, size::LogSize, watermark::Watermark, writer::Writer};
use crate::{
    codec,
    replica::types::{Entry, LogId, Vote},
    storage::{Database, io_error},
};

/// Column family of entries, by index.
const ENTRIES: &str = "log";
/// Column family of what there is one of.
const META: &str = "meta";

const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";
const IDENTITY: &[u8] = b"identity";

/// The log store; clones share it.
#[derive(Clone)]
pub struct LogStore {
    db: Arc<Database>,
    shared: Arc<Shared>,
    writer: Arc<Writer>,
}

/// What readers and the writer thread share.
struct Shared {
    state: Mutex<State>,
}

struct State {
    cache: Cache,
    size: LogSize,
    last: Option<LogId>,
    purged: Option<LogId>,
    vote: Option<Vote>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no holder of the log's lock panics")
    }

    fn durable(&self, index: u64) {
        self.lock().cache.durable(index);
    }
}

impl LogStore {
    /// Opens the log in this directory, made if it is not there, holding up to `cache_bytes` of the newest
    /// entries in memory.
    ///
    /// # Errors
    /// `InvalidData` if anything but the unfinished end of the last write is damaged.
    pub fn open(directory: &Path, cache_bytes: usize) -> io::Result<Self> {
        Self::open_with(directory, cache_bytes, |_| {})
    }

    fn open_with(
        directory: &Path,
        cache_bytes: usize,
        tune: impl FnOnce(&mut Options),
    ) -> io::Result<Self> {
        let db = Arc::new(Database::new(open::database(directory, tune)?));
        let acknowledged = Watermark::open(directory)?;
        let state = open::state(&db, cache_bytes)?;
        open::check_end(&state, db.latest_sequence_number(), acknowledged.said())?;
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
        });
        let writer = Arc::new(Writer::start(db.clone(), shared.clone(), acknowledged)?);
        Ok(Self { db, shared, writer })
    }

    /// Ends with an error once nothing is written any more, because the thread that writes has ended.
    pub(crate) fn writing(&self) -> watch::Receiver<()> {
        self.writer.alive()
    }

    /// Ends with an error once the database is closed.
    pub(crate) fn closed(&self) -> watch::Receiver<()> {
        self.db.closed()
    }

    /// Which member of which cluster this log belongs to, if it was said.
    pub fn identity(&self) -> io::Result<Option<Identity>> {
        read_meta(&self.db, IDENTITY)
    }

    /// Says so, durably.
    pub fn set_identity(&self, identity: &Identity) -> io::Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db
            .put_cf_opt(
                meta_of(&self.db),
                IDENTITY,
                identity.encode_to_vec(),
                &options,
            )
            .map_err(io_error)
    }

    /// The newest entry, or the last one purged.
    pub fn last(&self) -> Option<LogId> {
        let state = self.shared.lock();
        state.last.or(state.purged)
    }

    /// The last entry purged.
    pub fn purged(&self) -> Option<LogId> {
        self.shared.lock().purged
    }

    /// The last entry known to be committed, as far as it was saved.
    pub fn committed(&self) -> io::Result<Option<LogId>> {
        read_log_id(&self.db, COMMITTED)
    }

    /// Bytes of the entries after this index.
    pub fn bytes_after(&self, index: u64) -> u64 {
        self.shared.lock().size.bytes_after(index)
    }

    /// The oldest index to keep so that no more than `bytes` are kept, as nearly as is recorded.
    pub fn oldest_within(&self, bytes: u64) -> u64 {
        self.shared.lock().size.oldest_within(bytes)
    }

    /// Entries from `start` up to, not including, `end`, as long as they hold no more than `max_bytes` (and one
    /// in any case); those that were purged are left out.
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let (cached_from, cached, start) = {
            let state = self.shared.lock();
            let start = start.max(state.purged.map_or(0, |purged| purged.index + 1));
            let from = state.cache.first().unwrap_or(end);
            let cached = if start >= from {
                state.cache.range(start, end, max_bytes)
            } else {
                Vec::new()
            };
            (from, cached, start)
        };
        if start >= cached_from {
            return Ok(cached);
        }
        let mut entries = self.read_disk(start, end.min(cached_from), max_bytes)?;
        // Nothing on disk before what is in memory: the log begins there.
        let next = entries
            .last()
            .map_or(cached_from, |entry| entry.log_id.index + 1);
        let bytes: usize = entries.iter().map(cache::cost).sum();
        if next == cached_from && next < end && bytes < max_bytes {
            // What left the cache since is on disk by now: read on there, not here.
            let state = self.shared.lock();
            if state.cache.first().is_some_and(|first| first <= next) {
                entries.extend(state.cache.range(next, end, max_bytes - bytes));
            } else {
                drop(state);
                entries.extend(self.read_disk(next, end, max_bytes - bytes)?);
            }
        }
        Ok(entries)
    }

    fn read_disk(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end.to_be_bytes());
        let from = start.to_be_bytes();
        let mode = IteratorMode::From(&from, Direction::Forward);
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for item in self.db.iterator_cf_opt(entries_of(&self.db), options, mode) {
            let (key, record) = item.map_err(io_error)?;
            let entry = codec::raft::read_record(open::index_of(&key)?, Bytes::from(record))?;
            if let Some(last) = entries.last()
                && entry.log_id.index != last.log_id.index + 1
            {
                return Err(open::hole(last.log_id.index, entry.log_id.index));
            }
            bytes += cache::cost(&entry);
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn entries_of(db: &DB) -> &ColumnFamily {
    db.cf_handle(ENTRIES).expect("opened with it")
}

fn meta_of(db: &DB) -> &ColumnFamily {
    db.cf_handle(META).expect("opened with it")
}

fn read_meta<M: Message + Default>(db: &DB, key: &[u8]) -> io::Result<Option<M>> {
    let Some(bytes) = db.get_cf(meta_of(db), key).map_err(io_error)? else {
        return Ok(None);
    };
    let message = M::decode(bytes.as_slice()).map_err(codec::DecodeError::from)?;
    Ok(Some(message))
}

fn read_log_id(db: &DB, key: &[u8]) -> io::Result<Option<LogId>> {
    Ok(read_meta(db, key)?.map(codec::raft::read_log_id))
}

/// The half-open range of indexes that any range of them is.
fn half_open(range: &impl std::ops::RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index + 1,
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

#[cfg(test)]
#[path = "power_tests.rs"]
mod power_tests;
