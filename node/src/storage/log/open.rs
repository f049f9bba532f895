//! Opening a log, and refusing one that lacks what it may have promised.
//!
//! RocksDB drops the unfinished end of its last write, which nobody was ever told of. Anything else
//! that is missing or does not match its checksum is an error.

use std::{io, path::Path};

use bytes::Bytes;
use rocksdb::{
    ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, IteratorMode, Options,
};

use super::{
    Cache, ENTRIES, LogSize, META, PURGED, State, VOTE, cache, entries_of, read_log_id, read_meta,
    watermark::Acknowledged,
};
use crate::{
    codec,
    replica::types::{Entry, LogId},
    storage::{io_error, say_little},
};

/// Bytes of log in one memtable before it becomes a file.
const MEMTABLE_BYTES: usize = 16 << 20;
/// Memtables' worth of RocksDB's own log that may be there, and that a restart replays. Votes and the like are so few that
/// their memtable is never full: without a bound it would hold on to every file since it was begun.
const WAL_MEMTABLES: u64 = 2;

/// `tune` has the last word on the options of the whole database.
pub(super) fn database(directory: &Path, tune: impl FnOnce(&mut Options)) -> io::Result<DB> {
    database_of(directory, MEMTABLE_BYTES, tune)
}

fn database_of(
    directory: &Path,
    memtable_bytes: usize,
    tune: impl FnOnce(&mut Options),
) -> io::Result<DB> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(WAL_MEMTABLES * memtable_bytes as u64);
    say_little(&mut options);
    tune(&mut options);
    let mut entries = Options::default();
    entries.set_write_buffer_size(memtable_bytes);
    entries.set_compression_type(DBCompressionType::None);
    let families = [
        ColumnFamilyDescriptor::new(ENTRIES, entries),
        ColumnFamilyDescriptor::new(META, Options::default()),
    ];
    DB::open_cf_descriptors(&options, directory, families).map_err(|error| {
        let error = io_error(error);
        let text = match error.kind() {
            io::ErrorKind::InvalidData => format!(
                "the log in {} is damaged, and may lack entries that this member has acknowledged: {error}. \
                 If the other members are well, remove this one from the cluster and let it join with an \
                 empty directory",
                directory.display()
            ),
            _ => format!("cannot open the log in {}: {error}", directory.display()),
        };
        io::Error::new(error.kind(), text)
    })
}

/// Reads what is kept in memory, and with it checks the newest part of the log.
pub(super) fn state(db: &DB, cache_bytes: usize) -> io::Result<State> {
    let purged = read_log_id(db, PURGED)?;
    let newest = newest(db, purged, cache_bytes)?;
    let mut state = State {
        cache: Cache::new(cache_bytes),
        size: LogSize::default(),
        last: newest.last().map(|entry| entry.log_id),
        purged,
        vote: read_meta(db, VOTE)?.map(codec::raft::read_vote),
    };
    for entry in newest {
        state.size.append(entry.log_id.index, cache::cost(&entry));
        state.cache.push(entry);
    }
    if let Some(last) = state.last {
        state.cache.durable(last.index);
    }
    Ok(state)
}

/// Refuses a log that ends, at this write, before what it has acknowledged.
pub(super) fn check_end(
    state: &State,
    sequence: u64,
    acknowledged: Acknowledged,
) -> io::Result<()> {
    let last = state.last.or(state.purged).map_or(0, |last| last.index);
    let what = if last < acknowledged.index {
        format!(
            "the log ends at entry {last}, but this member has acknowledged entries up to {}",
            acknowledged.index
        )
    } else if sequence < acknowledged.sequence {
        format!(
            "the log ends at write {sequence}, but this member has acknowledged writes up to {}, votes among them",
            acknowledged.sequence
        )
    } else {
        return Ok(());
    };
    let text = format!(
        "{what}: its end is lost. If the other members are well, remove this one from the cluster and let it join \
         with an empty directory"
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// The newest entries, oldest first: as many as the cache takes, and one in any case.
fn newest(db: &DB, purged: Option<LogId>, cache_bytes: usize) -> io::Result<Vec<Entry>> {
    let start = purged.map_or(0, |purged| purged.index + 1);
    let mut newest: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    for item in db.iterator_cf(entries_of(db), IteratorMode::End) {
        let (key, record) = item.map_err(io_error)?;
        let index = index_of(&key)?;
        if index < start || (bytes > cache_bytes && !newest.is_empty()) {
            break;
        }
        let entry = codec::raft::read_record(index, Bytes::from(record))?;
        if let Some(later) = newest.last()
            && later.log_id.index != index + 1
        {
            return Err(hole(index, later.log_id.index));
        }
        bytes += cache::cost(&entry);
        newest.push(entry);
    }
    newest.reverse();
    check_start(db, start, newest.first())?;
    Ok(newest)
}

/// The log must begin right after what was purged.
fn check_start(db: &DB, start: u64, cached: Option<&Entry>) -> io::Result<()> {
    if cached.is_none_or(|entry| entry.log_id.index == start) {
        return Ok(());
    }
    let from = start.to_be_bytes();
    let mode = IteratorMode::From(&from, rocksdb::Direction::Forward);
    match db.iterator_cf(entries_of(db), mode).next() {
        Some(item) => match index_of(&item.map_err(io_error)?.0)? {
            index if index == start => Ok(()),
            index => Err(hole(start.saturating_sub(1), index)),
        },
        None => Ok(()),
    }
}

pub(super) fn index_of(key: &[u8]) -> io::Result<u64> {
    let bytes = key.try_into().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the log has a key that is no index",
        )
    })?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn hole(before: u64, after: u64) -> io::Error {
    let text = format!("the log has a hole: after entry {before} comes {after}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SMALL: usize = 64 << 10;

    fn wal_bytes(directory: &Path) -> u64 {
        let files = std::fs::read_dir(directory).unwrap();
        files
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().extension().is_some_and(|it| it == "log"))
            .map(|entry| entry.metadata().map_or(0, |metadata| metadata.len()))
            .sum()
    }

    #[test]
    fn one_vote_does_not_hold_on_to_all_that_was_written_since() {
        let directory = tempfile::tempdir().unwrap();
        let db = database_of(directory.path(), SMALL, |_| {}).unwrap();
        let family = |name| db.cf_handle(name).unwrap();
        db.put_cf(family(META), VOTE, b"a vote").unwrap();
        let record = [7; SMALL / 8];
        let written = 50 * SMALL;
        for index in 0..written / record.len() {
            let key = (index as u64).to_be_bytes();
            db.put_cf(family(ENTRIES), key, record).unwrap();
        }
        // Memtables become files, and files go, next door.
        let began = Instant::now();
        while wal_bytes(directory.path()) > 6 * SMALL as u64 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{} bytes of {written} are kept",
                wal_bytes(directory.path())
            );
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}
