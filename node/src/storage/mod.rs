//! What a member keeps on disk: the log, the rows of the state, and checkpoints of them.
//!
//! Knows nothing of the network, and nothing of what commands and rows mean.

pub mod checkpoint;
pub mod directory;
mod files;
mod generation;
pub mod log;
pub(crate) mod pinned;
pub mod state;
mod write_behind;

use std::{io, ops::Deref};

use tokio::sync::watch;

/// A database that tells when it is closed: not when its last holder lets go, but when it has let go of its files.
pub(crate) struct Database {
    // Dropped in this order.
    db: rocksdb::DB,
    open: watch::Sender<()>,
}

impl Database {
    fn new(db: rocksdb::DB) -> Self {
        let open = watch::Sender::new(());
        Self { db, open }
    }

    /// Ends with an error once it is closed.
    fn closed(&self) -> watch::Receiver<()> {
        self.open.subscribe()
    }
}

impl Deref for Database {
    type Target = rocksdb::DB;

    fn deref(&self) -> &rocksdb::DB {
        &self.db
    }
}

/// Files of its own words that RocksDB keeps.
const INFO_LOG_FILES: usize = 2;

/// Has RocksDB write little more than its settings to the log of its own words. It stands on the same disk, and on a full
/// one the second line that can't be written is a failed assertion in some builds of RocksDB (7.8 of Debian), which ends
/// the process before it can say why. What matters is told by errors.
fn say_little(options: &mut rocksdb::Options) {
    options.set_log_level(rocksdb::LogLevel::Fatal);
    options.set_keep_log_file_num(INFO_LOG_FILES);
}

/// A RocksDB error as the I/O error that it is.
pub(crate) fn io_error(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ if error.as_ref().contains("No space left") => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.into_string())
}
