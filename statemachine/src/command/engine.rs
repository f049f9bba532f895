//! Commands about engines and what they are given. Knows nothing of leases' clocks: the leader
//! watches those.

use crate::digest::Digest;
use crate::id::{EngineRef, InstanceId, ResourceId, Text};

/// An engine makes itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterEngine {
    /// The member it runs on.
    pub member: u64,
    /// The machine it runs on.
    pub host: Text,
    /// HOST:PORT of the member.
    pub address: Text,
    /// Most actions at once. The dispatcher's to obey.
    pub capacity: u32,
    /// Types that its providers offer.
    pub offers: Vec<Text>,
    /// Labels for placement (name, value).
    pub labels: Vec<(Text, Text)>,
    /// The member's incarnation that this one ends, as the engine knows it, or 0; a registration that another one has
    /// overtaken is refused by that. `None`: whichever it is.
    pub follows: Option<u64>,
}

/// What an engine is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignWork {
    /// Create or update the current instance of a resource.
    Make {
        /// The resource.
        resource: ResourceId,
        /// Its desired definition, as the dispatcher saw it.
        definition: Digest,
    },
    /// Look at an instance that is `Unknown`.
    Look {
        /// The instance.
        instance: InstanceId,
    },
    /// Delete an unwanted instance.
    Delete {
        /// The instance.
        instance: InstanceId,
    },
}

/// One piece of work for one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignItem {
    /// What is to be done.
    pub work: AssignWork,
    /// By whom.
    pub engine: EngineRef,
    /// After this state time the call must not run any more. Milliseconds.
    pub not_after_ms: u64,
    /// Items of one command with the same number are one chunk, walked in order by one engine.
    pub chunk: Option<u32>,
}
