//! The one thread that writes the log: everything that waits is written as one batch and flushed once.
//!
//! Order is kept: what is asked for later never reaches the disk before what was asked for earlier, votes
//! and entries alike. After a failed write nothing is written any more, since the log on disk could have
//! a hole. Knows nothing of Raft but the order it demands.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::JoinHandle,
};

use openraft::storage::IOFlushed;
use prost::Message;
use rocksdb::{DB, WriteBatch};
use tokio::sync::{oneshot, watch};

use super::{COMMITTED, PURGED, Shared, VOTE, watermark::Watermark};
use crate::{
    codec,
    failpoint::{self, Failpoint},
    pace::Total,
    replica::types::{Entry, LogId, TypeConfig, Vote},
    storage::{Database, io_error},
};

/// Bytes of one group: a flush of 1 MiB costs little more than one of 4 KiB; a larger one delays the first in it.
const GROUP_BYTES: usize = 4 << 20;
/// Writes of one group, for the same reason.
const GROUP_WRITES: usize = 4096;
/// Writes that may wait; who asks for more waits with them.
const QUEUE_WRITES: usize = 8192;

static WRITTEN: Total = Total::new("bytes written to the log");

/// One thing to write, and whom to tell.
pub(super) enum Write {
    Append {
        entries: Vec<Entry>,
        flushed: IOFlushed<TypeConfig>,
    },
    Vote {
        vote: Vote,
        done: Done,
    },
    /// Not worth a flush of its own: what is lost of it is found again from the leader.
    Committed(Option<LogId>),
    TruncateFrom {
        index: u64,
        done: Done,
    },
    Purge {
        upto: LogId,
        done: Done,
    },
}

/// Tells whoever asked for a write how it ended.
pub(super) type Done = oneshot::Sender<io::Result<()>>;

/// The way to the writer thread; when the last one is dropped, the thread writes what waits and ends.
pub(super) struct Writer {
    queue: Option<SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
    /// Its sender goes with the thread.
    alive: watch::Receiver<()>,
}

impl Writer {
    pub(super) fn start(
        db: Arc<Database>,
        shared: Arc<Shared>,
        acknowledged: Watermark,
    ) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE_WRITES);
        let (living, alive) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || {
                // Dropped by a panic too.
                let _living = living;
                Loop {
                    db,
                    shared,
                    acknowledged,
                    failed: None,
                }
                .run(&waiting);
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            alive,
        })
    }

    /// Ends with an error once the thread has ended, in whichever way.
    pub(super) fn alive(&self) -> watch::Receiver<()> {
        self.alive.clone()
    }

    pub(super) fn send(&self, write: Write) -> io::Result<()> {
        let gone = || io::Error::other("the log writer has ended");
        self.queue
            .as_ref()
            .ok_or_else(gone)?
            .send(write)
            .map_err(|_| gone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

struct Loop {
    db: Arc<Database>,
    shared: Arc<Shared>,
    acknowledged: Watermark,
    failed: Option<(io::ErrorKind, String)>,
}

impl Loop {
    fn run(mut self, waiting: &Receiver<Write>) {
        while let Ok(first) = waiting.recv() {
            let mut group = Group::default();
            group.add(&self.db, first);
            while !group.is_full() {
                match waiting.try_recv() {
                    Ok(write) => group.add(&self.db, write),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            self.write(group);
        }
    }

    fn write(&mut self, group: Group) {
        let result = match &self.failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => self.write_group(group.batch, group.sync, group.truncated_to, group.last),
        };
        if let Err(error) = &result {
            self.failed
                .get_or_insert_with(|| (error.kind(), error.to_string()));
        }
        for told in group.told {
            let result = match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            match told {
                Told::Appended { last, flushed } => {
                    if let (Ok(()), Some(last)) = (&result, last) {
                        self.shared.durable(last);
                    }
                    flushed.io_completed(result);
                }
                // Nobody waits any more: then nobody needs the answer.
                Told::Done(done) => drop(done.send(result)),
            }
        }
    }

    fn write_group(
        &mut self,
        batch: WriteBatch,
        sync: bool,
        truncated_to: Option<u64>,
        last: Option<u64>,
    ) -> io::Result<()> {
        if let Some(index) = truncated_to {
            self.acknowledged.lower(index)?;
        }
        failpoint::pass(Failpoint::LogBeforeWrite);
        WRITTEN.add(batch.size_in_bytes());
        self.db.write(batch).map_err(io_error)?;
        if !sync {
            return Ok(());
        }
        failpoint::pass(Failpoint::LogBeforeFlush);
        self.db.flush_wal(true).map_err(io_error)?;
        failpoint::pass(Failpoint::LogBeforeWatermark);
        let sequence = self.db.latest_sequence_number();
        self.acknowledged.raise(last, sequence)?;
        failpoint::pass(Failpoint::LogBeforeAnswer);
        Ok(())
    }
}

enum Told {
    Appended {
        last: Option<u64>,
        flushed: IOFlushed<TypeConfig>,
    },
    Done(Done),
}

/// Writes that reach the disk together.
#[derive(Default)]
struct Group {
    batch: WriteBatch,
    writes: usize,
    sync: bool,
    /// The last index kept, if some go.
    truncated_to: Option<u64>,
    /// The last index written.
    last: Option<u64>,
    told: Vec<Told>,
}

impl Group {
    fn is_full(&self) -> bool {
        self.batch.size_in_bytes() >= GROUP_BYTES || self.writes >= GROUP_WRITES
    }

    fn add(&mut self, db: &DB, write: Write) {
        let (log, meta) = (super::entries_of(db), super::meta_of(db));
        self.writes += 1;
        match write {
            Write::Append { entries, flushed } => {
                self.sync = true;
                let last = entries.last().map(|entry| entry.log_id.index);
                self.last = last.or(self.last);
                for entry in &entries {
                    let key = entry.log_id.index.to_be_bytes();
                    self.batch.put_cf(log, key, codec::raft::record(entry));
                }
                self.told.push(Told::Appended { last, flushed });
            }
            Write::Vote { vote, done } => {
                self.sync = true;
                self.batch
                    .put_cf(meta, VOTE, codec::raft::vote(&vote).encode_to_vec());
                self.told.push(Told::Done(done));
            }
            Write::Committed(None) => self.batch.delete_cf(meta, COMMITTED),
            Write::Committed(Some(id)) => {
                self.batch
                    .put_cf(meta, COMMITTED, codec::raft::log_id(&id).encode_to_vec());
            }
            Write::TruncateFrom { index, done } => {
                let kept = index.saturating_sub(1);
                self.truncated_to = Some(self.truncated_to.map_or(kept, |other| other.min(kept)));
                self.last = None;
                self.batch
                    .delete_range_cf(log, index.to_be_bytes(), u64::MAX.to_be_bytes());
                self.told.push(Told::Done(done));
            }
            Write::Purge { upto, done } => {
                let id = codec::raft::log_id(&upto).encode_to_vec();
                self.batch.put_cf(meta, PURGED, id);
                let end = (upto.index + 1).to_be_bytes();
                self.batch.delete_range_cf(log, 0u64.to_be_bytes(), end);
                self.told.push(Told::Done(done));
            }
        }
    }
}
