//! One member's replica of the state, and the way to change it through the log.
//!
//! [`Replica`] is what the rest of a member works with: it proposes commands, reads memory and rows, follows
//! changes and leadership, and changes the membership. Knows nothing of stacks, engines or clients.

mod errors;
mod fatal;
mod leadership;
mod machine;
mod members;
mod propose;
mod reads;
mod rows;
mod start;
#[cfg(test)]
mod suite;
pub mod types;
mod upkeep;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use anneal_statemachine::StateMachine;
use openraft::alias::InstantOf;
use tokio::sync::{broadcast, watch};

pub use errors::{LeaderHint, MembershipError, ProposeError, ReadError};
pub use leadership::{Leadership, LeadershipView};
pub use machine::{Changes, Machine};
pub use members::{ClusterView, MemberView, Role};
pub use propose::{COMMAND_BYTES, Committed, Pending};
pub use rows::{RowReader, Rows};
pub use start::{ReplicaConfig, StartError};
pub use upkeep::LogLimits;

use self::{fatal::Fatal, machine::Shared, types::TypeConfig};
use crate::{
    network::{Addressee, Channels},
    storage::{checkpoint::Checkpoints, log::LogStore},
};

/// The one instantiation of the Raft library.
pub(crate) type RaftHandle = openraft::Raft<TypeConfig, Machine>;

/// One member's replica; clones share it.
#[derive(Clone)]
pub struct Replica {
    inner: Arc<Inner>,
}

struct Inner {
    addressee: Addressee,
    raft: RaftHandle,
    shared: Arc<Shared>,
    log: LogStore,
    channels: Channels,
    leadership: watch::Receiver<LeadershipView>,
    /// One change of the membership at a time.
    membership: tokio::sync::Mutex<()>,
    /// A voter not heard of for this long is not counted on.
    silence: Duration,
    /// When a leader was last heard, in milliseconds since the anchor; 0: not yet.
    heard_ms: AtomicU64,
    /// It was asked to stop.
    stopping: AtomicBool,
    /// Why it cannot go on.
    fatal: Fatal,
    /// One moment by the clock that Raft's metrics tell, and by ours (never later).
    anchor: (InstantOf<TypeConfig>, Instant),
}

impl Replica {
    /// Reads memory under a lock that holds up `apply`: do little in it.
    pub fn read<R>(&self, f: impl FnOnce(&StateMachine) -> R) -> R {
        self.inner.shared.read(|state| f(&state.machine))
    }

    /// Reads memory, with the last entry applied to it, which others may not have been told of yet.
    pub fn read_at<R>(&self, f: impl FnOnce(&StateMachine, u64) -> R) -> R {
        self.inner
            .shared
            .read(|state| f(&state.machine, state.position.index()))
    }

    /// Reads memory, then rows as they were at that same moment.
    pub fn read_then<A, R>(
        &self,
        memory: impl FnOnce(&StateMachine) -> A,
        rows: impl FnOnce(A, &Rows<'_>) -> R,
    ) -> R {
        self.read_then_at(|machine, _| memory(machine), rows)
    }

    /// As [`Self::read_then`], with the last entry applied at that moment.
    pub fn read_then_at<A, R>(
        &self,
        memory: impl FnOnce(&StateMachine, u64) -> A,
        rows: impl FnOnce(A, &Rows<'_>) -> R,
    ) -> R {
        let mut memory = Some(memory);
        loop {
            let reader = self.rows();
            let at_once = self.inner.shared.read(|state| {
                // Not so if a checkpoint was installed in between.
                let same = Arc::ptr_eq(&state.store, reader.store());
                same.then_some(()).and_then(|()| {
                    let memory = memory.take()?;
                    let found = memory(&state.machine, state.position.index());
                    Some((found, reader.pinned()))
                })
            });
            if let Some((found, pinned)) = at_once {
                return rows(found, &pinned);
            }
        }
    }

    /// Typed reads of rows.
    pub fn rows(&self) -> RowReader {
        let store = self.inner.shared.read(|state| state.store.clone());
        RowReader::new(store, self.inner.fatal.clone())
    }

    /// State time of the last command applied. Milliseconds.
    pub fn state_ms(&self) -> u64 {
        self.inner.shared.read(|state| state.position.state_ms)
    }

    /// The last entry applied, whenever it changes.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.shared.applied()
    }

    /// What each group of applied entries changed. Who falls behind is told so, and has to look at everything.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Changes>> {
        self.inner.shared.changes()
    }

    /// Who leads, whenever it changes.
    pub fn leadership(&self) -> watch::Receiver<LeadershipView> {
        self.inner.leadership.clone()
    }

    /// Cluster and member id.
    pub fn addressee(&self) -> &Addressee {
        &self.inner.addressee
    }

    /// This member's id.
    pub fn member_id(&self) -> u64 {
        self.inner.addressee.member_id
    }

    /// Connections to other members.
    pub fn channels(&self) -> &Channels {
        &self.inner.channels
    }

    /// Last entry in the log, and last entry applied.
    pub fn progress(&self) -> (u64, u64) {
        let last = self.inner.log.last().map_or(0, |last| last.index);
        (last, *self.applied().borrow())
    }

    pub(crate) fn raft(&self) -> &RaftHandle {
        &self.inner.raft
    }

    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        self.inner.shared.checkpoints()
    }

    pub(crate) fn log(&self) -> &LogStore {
        &self.inner.log
    }
}
