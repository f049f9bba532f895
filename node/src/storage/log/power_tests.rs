//! The power fails at any moment: what was acknowledged by then is found again.
//!
//! RocksDB is told to keep what is not flushed in the memory of this process, so that the files hold at any moment just
//! what a machine would find in them that lost its power then. They are copied, and the copy is opened.

use std::{fs, io, path::Path};

use openraft::{
    EntryPayload,
    storage::{IOFlushed, RaftLogReader, RaftLogStorage},
    type_config::TypeConfigExt,
};
use tempfile::TempDir;

use super::LogStore;
use crate::replica::types::{Entry, LeadershipId, LogId, TypeConfig, Vote};

const CACHE_BYTES: usize = 1 << 10;

fn id(index: u64) -> LogId {
    LogId::new(
        LeadershipId {
            term: 1,
            node_id: 1,
        },
        index,
    )
}

fn entry(index: u64) -> Entry {
    Entry {
        log_id: id(index),
        payload: EntryPayload::Blank,
    }
}

fn open(directory: &Path) -> LogStore {
    LogStore::open_with(directory, CACHE_BYTES, |options| {
        options.set_manual_wal_flush(true);
    })
    .expect("a log that nobody has damaged")
}

/// The log as it is found after the power has failed just now.
fn after_power_failure(directory: &Path) -> (TempDir, LogStore) {
    let found = tempfile::tempdir().unwrap();
    for file in fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), found.path().join(file.file_name())).unwrap();
    }
    let log = open(found.path());
    (found, log)
}

async fn append(log: &mut LogStore, entries: impl IntoIterator<Item = u64>) {
    let (told, flushed) = TypeConfig::oneshot::<io::Result<()>>();
    let entries: Vec<Entry> = entries.into_iter().map(entry).collect();
    log.append(entries, IOFlushed::signal(told)).await.unwrap();
    flushed.await.expect("the writer answers").unwrap();
}

#[tokio::test]
async fn entries_that_were_acknowledged_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(directory.path());
    for index in 0..8 {
        append(&mut log, [index]).await;
        let (_found, mut found) = after_power_failure(directory.path());
        let state = found.get_log_state().await.unwrap();
        assert_eq!(state.last_log_id, Some(id(index)));
    }
}

#[tokio::test]
async fn a_vote_that_was_given_is_not_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(directory.path());
    for term in 1..=3 {
        let vote = Vote::new(term, 1);
        log.save_vote(&vote).await.unwrap();
        let (_found, mut found) = after_power_failure(directory.path());
        assert_eq!(found.read_vote().await.unwrap(), Some(vote));
    }
}

/// An acknowledgement that outlived its entry would be a damaged log, and a member that never starts again.
#[tokio::test]
async fn what_was_cut_off_may_come_back_but_nothing_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(directory.path());
    append(&mut log, 0..=6).await;
    log.truncate_after(Some(id(3))).await.unwrap();
    let (_found, mut found) = after_power_failure(directory.path());
    let last = found.get_log_state().await.unwrap().last_log_id;
    assert!(last >= Some(id(3)), "{last:?}");
    append(&mut log, 4..=5).await;
    let (_found, mut found) = after_power_failure(directory.path());
    let last = found.get_log_state().await.unwrap().last_log_id;
    assert_eq!(last, Some(id(5)), "and what came after it is gone");
}
