//! Log entries: what the leader may propose. Closed: a replica that meets one it does not know stops.
//! Knows nothing of how they are encoded or carried out.

mod change;
mod engine;
mod report;

pub use change::{
    Blob, Change, ChangeStack, CommitStaged, Definition, DeletionPolicy, Difference, Drift,
    OnFailure, Placement, Policy, Reference, ReplacementPolicy, SetResource, StackOptions,
    StagePart, TypeTraits,
};
pub use engine::{AssignItem, AssignWork, RegisterEngine};
pub use report::{
    ActionResult, Done, ErrorClass, Failure, Input, Left, Looked, ObserveItem, ReportItem, Seen,
    Value,
};

use crate::id::{EngineRef, InstanceId, RequestId, Revision, StackId, Text};

/// The leader's time, written into each command. The state machine knows no other clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// State time: the last stamp in the log plus the leader's monotonic time since it took over. It
    /// never jumps; all deadlines are in it. Milliseconds.
    pub state_ms: u64,
    /// Wall time, for people and for the age of requests. Milliseconds since 1970.
    pub wall_ms: u64,
}

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// When the leader proposed it.
    pub stamp: Stamp,
    /// What it asks for.
    pub kind: CommandKind,
}

/// Every kind of log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// An engine makes itself known; the entry's index is its incarnation.
    RegisterEngine(RegisterEngine),
    /// This incarnation's lease is over: what it held becomes `Unknown`.
    ExpireEngine(EngineRef),
    /// This incarnation takes nothing new.
    DrainEngine(EngineRef),
    /// A person says that a host is gone for good: its instances are forgotten.
    ForgetHost {
        /// The client's request.
        request: RequestId,
        /// The host id.
        host: Text,
    },
    /// A user's change of one stack.
    ChangeStack(ChangeStack),
    /// One part of a change too large for one entry.
    StagePart(StagePart),
    /// The last entry of a staged change, which makes it a revision.
    CommitStaged(CommitStaged),
    /// Carry on what waits in the state's queues.
    Advance,
    /// Give work to engines; each item is checked by itself.
    Assign {
        /// In order; the items of one chunk in dependency order.
        items: Vec<AssignItem>,
    },
    /// What engines did; each item is judged by itself.
    Report {
        /// In the order in which it happened on each engine.
        items: Vec<ReportItem>,
    },
    /// What background observation found to differ.
    Observe {
        /// Each judged by itself.
        items: Vec<ObserveItem>,
    },
    /// A person says: try this resource again now.
    Retry {
        /// The client's request.
        request: RequestId,
        /// The stack.
        stack: StackId,
        /// The resource's name.
        resource: Text,
    },
    /// A person says what there is, where no provider can look.
    Resolve {
        /// The client's request.
        request: RequestId,
        /// The stack.
        stack: StackId,
        /// The resource's name.
        resource: Text,
        /// Which instance; without it, the one that is on hold.
        instance: Option<InstanceId>,
        /// `None`: there is nothing. `Some(id)`: it is there, under this physical id.
        physical_id: Option<Text>,
    },
    /// Fire every deadline that lies before the stamp.
    FireDeadlines,
    /// Forget old revisions and events of a stack.
    ExpireHistory {
        /// The stack.
        stack: StackId,
        /// Deltas up to and including the one that made this revision are dropped (never those that
        /// the last settled revision needs).
        revisions_through: Revision,
        /// Events of entries before this log index are dropped.
        events_before: u64,
    },
    /// Forget answered requests, and instances kept only for late reports, from before the window.
    ExpireRequests,
    /// Set cluster-wide limits.
    ClusterSettings {
        /// The client's request.
        request: RequestId,
        /// All of them, as they are to be.
        settings: Settings,
    },
    /// From now on commands of this feature level may be proposed.
    FeatureLevel {
        /// Never smaller than the present one.
        level: u32,
    },
    /// Take a member id that was never used.
    AllocateMemberId {
        /// The request of the member that joins.
        request: RequestId,
    },
}

impl CommandKind {
    /// What it is called in a member's own log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RegisterEngine(_) => "register_engine",
            Self::ExpireEngine(_) => "expire_engine",
            Self::DrainEngine(_) => "drain_engine",
            Self::ForgetHost { .. } => "forget_host",
            Self::ChangeStack(_) => "change_stack",
            Self::StagePart(_) => "stage_part",
            Self::CommitStaged(_) => "commit_staged",
            Self::Advance => "advance",
            Self::Assign { .. } => "assign",
            Self::Report { .. } => "report",
            Self::Observe { .. } => "observe",
            Self::Retry { .. } => "retry",
            Self::Resolve { .. } => "resolve",
            Self::FireDeadlines => "fire_deadlines",
            Self::ExpireHistory { .. } => "expire_history",
            Self::ExpireRequests => "expire_requests",
            Self::ClusterSettings { .. } => "cluster_settings",
            Self::FeatureLevel { .. } => "feature_level",
            Self::AllocateMemberId { .. } => "allocate_member_id",
        }
    }
}

/// Cluster-wide limits, all in the log, so that every replica decides alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an answered request is remembered, and how old one may be. Milliseconds.
    pub request_window_ms: u64,
    /// How long staged parts wait for the next one or the commit. Milliseconds.
    pub stage_lifetime_ms: u64,
    /// Most resources of one stack.
    pub max_resources: u64,
    /// First wait after a failure; it doubles with each further one. Milliseconds.
    pub retry_base_ms: u64,
    /// Longest wait between attempts. Milliseconds.
    pub retry_max_ms: u64,
    /// Attempts at one goal before transient failures fail the resource.
    pub transient_attempts: u32,
    /// The same for exceeded quotas, which other deletions may lift.
    pub quota_attempts: u32,
    /// The same for failures that the provider calls permanent.
    pub permanent_attempts: u32,
    /// The same for a name that something else holds.
    pub conflict_attempts: u32,
    /// Most items of a queued change, or failures forgotten, that one entry takes; at least one. Of items with edges it takes fewer.
    pub items_per_entry: u32,
    /// Most dependents that one entry tells that something they require is settled; at least one.
    pub tells_per_entry: u32,
}

/// How many items of [`Settings::items_per_entry`] one with so many edges, taken down or put up, counts for: an edge half of one.
pub const fn items_with(edges: usize) -> usize {
    1 + edges / 2
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            // A client that retries for longer than a day is not the same client any more.
            request_window_ms: 24 * 60 * 60 * 1000,
            // A node proposes parts back to back; ten minutes covers any election.
            stage_lifetime_ms: 10 * 60 * 1000,
            max_resources: 1_000_000,
            // 1 + 2 + 4 + 8 s: about a quarter of a minute before a person is told.
            retry_base_ms: 1000,
            retry_max_ms: 5 * 60 * 1000,
            transient_attempts: 5,
            // Quotas free up as other stacks go, which takes longer: some ten minutes.
            quota_attempts: 10,
            permanent_attempts: 1,
            conflict_attempts: 3,
            // Some tens of milliseconds of work each, on a busy machine too, so that an entry holds up neither a heartbeat
            // nor what others ask for meanwhile.
            items_per_entry: 500,
            tells_per_entry: 2_500,
        }
    }
}
