//! What happened, for people and watchers. Events are appended by the node under (stack, log index,
//! place in the entry). Knows nothing of their storage or bounds.

use crate::id::{InstanceId, ResourceId, Revision, StackId, Text};
use std::fmt;

/// One thing that happened to a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The log index of the entry.
    pub index: u64,
    /// Its place among the entry's events, from 0.
    pub ordinal: u32,
    /// Wall time of the entry. Milliseconds since 1970.
    pub wall_ms: u64,
    /// The stack; `None` concerns the cluster.
    pub stack: Option<StackId>,
    /// The resource, if one.
    pub resource: Option<(ResourceId, Text)>,
    /// The instance, if one.
    pub instance: Option<InstanceId>,
    /// The revision that was the newest then.
    pub revision: Revision,
    /// What kind of thing.
    pub kind: EventKind,
    /// In words; a provider's own where it gave any.
    pub text: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What kind of thing happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name,)*];

            /// The word that listings show.
            pub fn word(self) -> &'static str {
                match self {
                    $(EventKind::$name => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// A new revision.
    Revised = "revised",
    /// An unchanged declaration: failures are forgotten.
    Unchanged = "unchanged",
    /// Paused.
    Paused = "paused",
    /// Resumed.
    Resumed = "resumed",
    /// Cancelled.
    Cancelled = "cancelled",
    /// The stack is to go.
    Deleting = "deleting",
    /// The stack is gone.
    Deleted = "deleted",
    /// All is as declared.
    Converged = "converged",
    /// Nothing can move.
    Stuck = "stuck",
    /// Halted, timed out, or due to be rolled back.
    Halted = "halted",
    /// A resource was created.
    Created = "created",
    /// A resource was updated.
    Updated = "updated",
    /// An instance was deleted.
    InstanceDeleted = "instance_deleted",
    /// An instance is to be replaced.
    Replacing = "replacing",
    /// A deposed instance is current again.
    TakenBack = "taken_back",
    /// An action failed and is tried again.
    Retrying = "retrying",
    /// A resource or a deletion failed.
    Failed = "failed",
    /// An action ended without a verdict, or its engine was lost.
    Unknown = "unknown",
    /// A look came to an end.
    Looked = "looked",
    /// A person must decide.
    OnHold = "on_hold",
    /// A person has decided.
    Resolved = "resolved",
    /// An engine declined an assignment.
    Declined = "declined",
    /// An instance vanished.
    Gone = "gone",
    /// An instance was forgotten without being deleted.
    Forgotten = "forgotten",
    /// A late physical id was kept.
    IdKept = "id_kept",
    /// Observation found a difference.
    Drifted = "drifted",
    /// An engine came.
    EngineRegistered = "engine_registered",
    /// An engine went.
    EngineExpired = "engine_expired",
    /// An engine takes nothing new.
    EngineDraining = "engine_draining",
    /// A host is gone for good.
    HostForgotten = "host_forgotten",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
