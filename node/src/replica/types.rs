//! The types that the Raft library is told to use, and the one place that names them.
//!
//! Knows nothing of storage, the network or the state machine.

use std::fmt;

use anneal_statemachine::outcome::Outcome;
use bytes::Bytes;
use openraft::alias::{
    CommittedLeaderIdOf, EntryOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf,
};

openraft::declare_raft_types!(
    /// The one instantiation of the Raft library in this program.
    pub TypeConfig:
        D = Proposal,
        R = Answer,
        NodeId = u64,
        Node = MemberNode,
);

/// Where an entry stands in the log: term, leader and index.
pub type LogId = LogIdOf<TypeConfig>;
/// A log entry, its command still encoded.
pub type Entry = EntryOf<TypeConfig>;
/// A member's promise.
pub type Vote = VoteOf<TypeConfig>;
/// One leadership: term and member, never the same twice.
pub type LeadershipId = CommittedLeaderIdOf<TypeConfig>;
/// A membership with the entry that made it.
pub type StoredMembership = StoredMembershipOf<TypeConfig>;
/// Who takes part.
pub type Membership = openraft::Membership<u64, MemberNode>;
/// What a checkpoint contains.
pub type CheckpointMeta = SnapshotMetaOf<TypeConfig>;
/// What an entry carries.
pub type EntryPayload = openraft::EntryPayload<Proposal, u64, MemberNode>;

/// A command, encoded once by the member that proposes it; every later holder shares these bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// An encoded `anneal.log.v1.Command`.
    pub command: Bytes,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.command.len())
    }
}

/// What a proposer is told once its entry is applied; `None` for entries without a command.
#[derive(Clone, Debug, Default)]
pub struct Answer(pub Option<Outcome>);

/// What the membership says of a member, beside its id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberNode {
    /// HOST:PORT, as given to `--listen`; empty for a member without a listener.
    pub address: String,
    /// A learner that becomes a voter by itself as soon as it has caught up.
    pub becomes_voter: bool,
}
