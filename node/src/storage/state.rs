//! The rows of the state on disk, together with how far they have come.
//!
//! Rows and position are written in one batch, a little later than they are taken (`write_behind.rs`) and
//! without a write-ahead log: the Raft log is theirs. All
//! column families are flushed to disk as one, so that what a crash leaves is some earlier moment of all
//! of them, and the log is replayed from there. Knows nothing of what rows mean.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anneal_proto::log::v1 as proto;
use bytes::Bytes;
use prost::Message;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompactionStyle,
    DBCompressionType, Options, checkpoint::Checkpoint as RocksCheckpoint,
};

use super::{
    Database, files, generation::Step, io_error, pinned::Pinned, say_little,
    write_behind::WriteBehind,
};
use tokio::sync::watch;

use crate::{
    codec,
    failpoint::{self, Failpoint},
    replica::types::{LogId, StoredMembership},
};

/// Bytes of rows in memory before they are flushed: what a restart replays at most, and the larger part of
/// what storage adds to resident memory.
const MEMTABLE_BYTES: usize = 16 << 20;
/// Sorted runs of one family before some of them are merged, those of like size (*universal* compaction): rows of a stack that
/// is made are seldom read and soon written again, so the fewer times they are merged the better. A read of an absent row asks
/// the filter of each run.
const SORTED_RUNS: i32 = 24;
/// Runs at which writers are slowed down, and stopped.
const TOO_MANY_SORTED_RUNS: [i32; 2] = [60, 80];
/// Bytes of row blocks kept for reading.
const BLOCK_CACHE_BYTES: usize = 32 << 20;
/// Bits of filter per row: one in a hundred reads of an absent row touches the disk.
const FILTER_BITS: f64 = 10.0;
/// Open files of one state; checkpoints and the log have their own.
const OPEN_FILES: i32 = 512;

/// Key, in the default column family, of the position.
pub(super) const APPLIED: &[u8] = b"applied";
/// End of the name of a directory that is not finished.
const UNFINISHED: &str = ".unfinished";

/// How far rows have come: the last entry applied, and the last membership among those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last entry applied.
    pub last: Option<LogId>,
    /// The last membership applied.
    pub membership: StoredMembership,
    /// State time of the last command applied. Milliseconds.
    pub state_ms: u64,
}

impl Position {
    /// The last entry applied; 0: none.
    pub fn index(&self) -> u64 {
        self.last.map_or(0, |last| last.index)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        proto::Applied {
            last: self.last.as_ref().map(codec::raft::log_id),
            membership: Some(codec::raft::stored_membership(&self.membership)),
            state_ms: self.state_ms,
        }
        .encode_to_vec()
    }

    fn read(db: &DB) -> io::Result<Self> {
        let Some(bytes) = db.get(APPLIED).map_err(io_error)? else {
            return Ok(Self::default());
        };
        let applied = proto::Applied::decode(bytes.as_slice()).map_err(codec::DecodeError::from)?;
        let membership = applied.membership.unwrap_or_default();
        Ok(Self {
            last: applied.last.map(codec::raft::read_log_id),
            membership: codec::raft::read_stored_membership(membership)?,
            state_ms: applied.state_ms,
        })
    }
}

/// One life of the state on disk, from an empty start or an installed checkpoint to the next install.
///
/// It stays readable for whoever holds it; a superseded one removes its files when the last holder is gone.
pub struct StateStore {
    rows: Option<WriteBehind>,
    path: PathBuf,
    superseded: AtomicBool,
}

/// Row changes of some applied entries.
pub struct RowBatch<'a> {
    store: &'a StateStore,
    steps: Vec<Step>,
}

impl StateStore {
    /// Opens the newest state under this directory, or an empty one, and removes what is left of others.
    pub fn open(root: &Path, families: &[&str]) -> io::Result<Arc<Self>> {
        fs::create_dir_all(root)?;
        let newest = generations(root)?.into_iter().max();
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if newest.is_none_or(|newest| path != generation_path(root, newest)) {
                files::remove_directory(&path)?;
            }
        }
        Self::open_at(generation_path(root, newest.unwrap_or(1)), families)
    }

    /// Makes the content of a checkpoint the state under this directory. The state before it remains readable
    /// by whoever holds it.
    pub fn install(
        root: &Path,
        checkpoint: &Path,
        families: &[&str],
        before: &Self,
    ) -> io::Result<Arc<Self>> {
        let number = generations(root)?.into_iter().max().unwrap_or(0) + 1;
        let path = generation_path(root, number);
        let staging = path.with_extension(&UNFINISHED[1..]);
        files::remove_directory(&staging)?;
        files::copy_database(checkpoint, &staging)?;
        files::flush_files(&staging)?;
        failpoint::pass(Failpoint::InstallUnnamed);
        files::rename_directory(&staging, &path)?;
        let installed = Self::open_at(path, families)?;
        before.superseded.store(true, Ordering::Release);
        Ok(installed)
    }

    fn open_at(path: PathBuf, families: &[&str]) -> io::Result<Arc<Self>> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES).map_err(io_error)?;
        let mut options = family_options(&cache);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        options.set_db_write_buffer_size(MEMTABLE_BYTES);
        options.set_max_open_files(OPEN_FILES);
        say_little(&mut options);
        let described = families
            .iter()
            .map(|name| ColumnFamilyDescriptor::new(*name, family_options(&cache)));
        let db = DB::open_cf_descriptors(&options, &path, described).map_err(|error| {
            let error = io_error(error);
            let text = format!("cannot open the state in {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        Ok(Arc::new(Self {
            rows: Some(WriteBehind::new(Database::new(db), families)?),
            path,
            superseded: AtomicBool::new(false),
        }))
    }

    pub(super) fn rows(&self) -> &WriteBehind {
        self.rows.as_ref().expect("taken only when dropped")
    }

    /// The database, which rows that were taken a moment ago have not reached yet.
    pub(crate) fn db(&self) -> &DB {
        self.rows().db()
    }

    /// Ends with an error once the database is closed.
    pub(crate) fn closed(&self) -> watch::Receiver<()> {
        self.rows().db().closed()
    }

    /// A column family it was opened with.
    pub(crate) fn family(&self, name: &str) -> &ColumnFamily {
        self.db().cf_handle(name).expect("opened with all families")
    }

    /// A row's bytes, as the last batch left it.
    pub(crate) fn get(&self, family: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.rows().get(family, key)
    }

    /// All rows as of now.
    pub(crate) fn pin(&self) -> Pinned<'_> {
        self.rows().pin()
    }

    /// How far the rows on disk have come.
    pub fn position(&self) -> io::Result<Position> {
        Position::read(self.db())
    }

    /// Starts a batch.
    pub fn batch(&self) -> RowBatch<'_> {
        RowBatch {
            store: self,
            steps: Vec::new(),
        }
    }

    /// Writes all rows and their position, as they are at one moment, to a new directory.
    pub(super) fn checkpoint_to(&self, path: &Path) -> io::Result<()> {
        self.rows().write_all()?;
        RocksCheckpoint::new(self.db())
            .and_then(|checkpoint| checkpoint.create_checkpoint(path))
            .map_err(io_error)?;
        failpoint::pass(Failpoint::CheckpointUnflushed);
        files::flush_files(path)
    }
}

impl Drop for StateStore {
    fn drop(&mut self) {
        drop(self.rows.take());
        if self.superseded.load(Ordering::Acquire)
            && let Err(error) = files::remove_directory(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a superseded state is still there");
        }
    }
}

impl RowBatch<'_> {
    /// Sets a row.
    pub fn put(&mut self, family: &str, key: Vec<u8>, value: Bytes) {
        let family = self.store.rows().number(family);
        let value = Some(value);
        self.steps.push(Step::Put { family, key, value });
    }

    /// Removes a row.
    pub fn delete(&mut self, family: &str, key: Vec<u8>) {
        let family = self.store.rows().number(family);
        let value = None;
        self.steps.push(Step::Put { family, key, value });
    }

    /// Removes rows from a key up to, not including, another.
    pub fn delete_range(&mut self, family: &str, from: Vec<u8>, to: Vec<u8>) {
        let family = self.store.rows().number(family);
        let keys = from..to;
        self.steps.push(Step::RemoveRange { family, keys });
    }

    /// Has all of it written, with the position that it brings the rows to. From now on it is read.
    ///
    /// # Errors
    /// If rows can't be written any more.
    pub fn write(self, position: &Position) -> io::Result<()> {
        self.store.rows().take(self.steps, position.clone())
    }
}

/// The position in a checkpoint or state that nobody has open.
pub(super) fn position_in(path: &Path) -> io::Result<Position> {
    let families = [rocksdb::DEFAULT_COLUMN_FAMILY_NAME];
    let mut options = Options::default();
    say_little(&mut options);
    let db = DB::open_cf_for_read_only(&options, path, families, false).map_err(io_error)?;
    Position::read(&db)
}

fn family_options(cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(FILTER_BITS, false);
    let mut options = Options::default();
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_level_zero_file_num_compaction_trigger(SORTED_RUNS);
    options.set_level_zero_slowdown_writes_trigger(TOO_MANY_SORTED_RUNS[0]);
    options.set_level_zero_stop_writes_trigger(TOO_MANY_SORTED_RUNS[1]);
    options.set_block_based_table_factory(&blocks);
    // A checkpoint is read by members whose RocksDB was built with other compressions, or none.
    options.set_compression_type(DBCompressionType::None);
    options
}

fn generation_path(root: &Path, number: u64) -> PathBuf {
    root.join(number.to_string())
}

fn generations(root: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root)? {
        if let Some(number) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            numbers.push(number);
        }
    }
    Ok(numbers)
}
