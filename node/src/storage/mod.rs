//! What a member keeps on disk: the log, the rows of the state, and checkpoints of them.
//!
//! Knows nothing of the network, and nothing of what commands and rows mean.

pub mod checkpoint;
pub mod directory;
mod files;
pub mod log;
pub mod state;

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

/// A RocksDB error as the I/O error that it is.
pub(crate) fn io_error(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ if error.as_ref().contains("No space left") => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.into_string())
}
