//! What a member keeps on disk: the log, the rows of the state, and checkpoints of them.
//!
//! Knows nothing of the network, and nothing of what commands and rows mean.

pub mod checkpoint;
pub mod directory;
mod files;
pub mod log;
pub mod state;

use std::io;

/// A RocksDB error as the I/O error that it is.
pub(crate) fn io_error(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ if error.as_ref().contains("No space left") => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.into_string())
}
