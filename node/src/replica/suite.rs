//! The Raft library's own tests of log and state machine, on ours.

use std::io;

use openraft::{
    ErrorSubject, ErrorVerb, StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tempfile::TempDir;

use super::{
    machine::{Machine, Shared},
    types::TypeConfig,
};
use crate::storage::{checkpoint::Checkpoints, log::LogStore};

/// Small, so that the tests read from disk too.
const CACHE_BYTES: usize = 1 << 10;

struct Fresh;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Fresh {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let build = || -> io::Result<_> {
            let directory = tempfile::tempdir()?;
            let log = LogStore::open(&directory.path().join("raft"), CACHE_BYTES)?;
            let checkpoints = Checkpoints::open(&directory.path().join("checkpoints"))?;
            let shared = Shared::open(directory.path().join("state"), checkpoints)?;
            Ok((directory, log, Machine { shared }))
        };
        build().map_err(|error| {
            StorageError::from_io_error(ErrorSubject::Store, ErrorVerb::Write, error)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_state_machine_are_what_raft_demands() {
    Suite::test_all(Fresh).await.unwrap();
}
