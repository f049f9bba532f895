//! Commands that change what a stack should be. Knows nothing of templates: a definition is opaque
//! bytes, a digest and a list of references.

use crate::digest::Digest;
use crate::id::{RequestId, Revision, StackId, Text};
use bytes::Bytes;

/// A piece of content, addressed by its digest (see [`crate::digest::blob_digest`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The digest of `bytes`, computed by the node.
    pub digest: Digest,
    /// The content.
    pub bytes: Bytes,
}

/// A value that a definition refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Name of a resource in the same stack.
    pub resource: Text,
    /// A whole attribute of it; `None` is its reference id (`get_resource`).
    pub attribute: Option<Text>,
}

/// What a resource should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Digest of type and body (see [`crate::digest::definition_digest`]), computed by the node.
    pub digest: Digest,
    /// The type's name.
    pub type_name: Text,
    /// Properties with everything put in but attributes of other resources. Opaque.
    pub body: Bytes,
    /// What the body refers to.
    pub references: Vec<Reference>,
    /// Names of resources that must be settled first without being referred to.
    pub depends_on: Vec<Text>,
    /// How it is to be treated.
    pub policy: Policy,
    /// What its type can do.
    pub traits: TypeTraits,
}

/// What becomes of an instance that is no longer wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It is forgotten and left where it is.
    Retain,
}

/// In which order an instance is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplacementPolicy {
    /// The successor is made, then the old one deleted.
    #[default]
    CreateFirst,
    /// The old one is deleted, then the successor made.
    DeleteFirst,
}

/// What is done about drift that observation finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// It is made right.
    #[default]
    Heal,
    /// It is only told.
    Report,
}

/// Where a resource may be acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// This host only.
    pub host: Option<Text>,
    /// Engines with all of these labels only (name, value).
    pub labels: Vec<(Text, Text)>,
}

/// How a resource is to be treated. A change of these alone never calls a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of unwanted instances.
    pub deletion: DeletionPolicy,
    /// In which order it is replaced.
    pub replacement: ReplacementPolicy,
    /// Its deletion and replacement are refused.
    pub protect: bool,
    /// Overrides the stack's.
    pub drift: Option<Drift>,
    /// Where it may be acted on.
    pub placement: Placement,
    /// How long one call may take; `None`: the dispatcher's default. Milliseconds.
    pub timeout_ms: Option<u64>,
}

/// What a provider's schema says about a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeTraits {
    /// Instances live on one host, and only its engines can reach them.
    pub host_bound: bool,
    /// There is no outside: the physical id is derived from the instance id.
    pub derived_id: bool,
    /// A second call with the same idempotency key has no second effect.
    pub honours_keys: bool,
    /// Looking with a token makes it refuse smaller ones.
    pub fences: bool,
    /// It can say what is there.
    pub can_look: bool,
    /// Physical ids are names that the definition chooses (a path, a bucket).
    pub named: bool,
    /// A running call can be cancelled.
    pub cancellable: bool,
    /// How long after a call's end its effect may still show up. Milliseconds.
    pub lag_ms: u32,
    /// It looks only at what it knows the id of: a create that is lost before its id is known needs a person.
    pub by_id_only: bool,
}

impl TypeTraits {
    /// Whether it may travel in a chunk. Steps that were never begun are Unknown too when their engine is lost, so
    /// only what can be found without a person may.
    pub fn travels(&self) -> bool {
        self.derived_id || (self.can_look && !self.by_id_only)
    }
}

/// A resource as a change sets it, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetResource {
    /// Its name, with its path (`web/3/server`).
    pub name: Text,
    /// What it should be; `None`: it is in the template, but its condition is false.
    pub definition: Option<Definition>,
    /// Its piece of the stored template.
    pub fragment: Blob,
    /// Parameters that its definition was computed from, so that a change of one finds its users.
    pub parameters_used: Vec<Text>,
}

/// What a change asks for, as the difference to the revision it was computed from. Items are in
/// dependency order: what one requires comes earlier or exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Resources that are new or differ.
    pub set: Vec<SetResource>,
    /// Names of resources that are to be no more.
    pub remove: Vec<Text>,
    /// The template without its resources, if it differs.
    pub head: Option<Blob>,
    /// The parameter values, if they differ.
    pub parameters: Option<Blob>,
    /// The stack's options as they are to be, if they differ.
    pub options: Option<StackOptions>,
}

/// What happens when a resource fails for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Independent parts go on.
    #[default]
    Continue,
    /// Nothing new starts.
    Halt,
    /// Nothing new starts, and the last settled revision is put back.
    Rollback,
}

/// Options of a stack, kept until changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackOptions {
    /// What happens when a resource fails for good.
    pub on_failure: OnFailure,
    /// How long a change may take; `None`: for ever. Milliseconds.
    pub timeout_ms: Option<u64>,
    /// What is done about drift.
    pub drift: Drift,
    /// How often each instance is observed; 0: never. Milliseconds.
    pub observe_interval_ms: u64,
    /// Most actions at once; `None`: as many as the engines take. The dispatcher's to obey.
    pub parallelism: Option<u32>,
    /// The stack's deletion is refused.
    pub protect: bool,
}

impl Default for StackOptions {
    fn default() -> StackOptions {
        StackOptions {
            on_failure: OnFailure::Continue,
            timeout_ms: None,
            drift: Drift::Heal,
            observe_interval_ms: 5 * 60 * 1000,
            parallelism: None,
            protect: false,
        }
    }
}

/// A user's change of one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeStack {
    /// The client's request; the same one gets the same answer.
    pub request: RequestId,
    /// The stack's namespace.
    pub namespace: Text,
    /// The stack's name.
    pub name: Text,
    /// What is asked.
    pub change: Change,
}

/// What a user asks of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new stack.
    Create {
        /// All of it, as a difference to nothing.
        difference: Difference,
    },
    /// A whole new declaration, or a patch of one. An empty difference makes no revision, but forgets
    /// failures.
    Update {
        /// The revision that the difference was computed from.
        base: Revision,
        /// The difference.
        difference: Difference,
    },
    /// Back to an earlier revision.
    Rollback {
        /// The revision that the difference was computed from.
        base: Revision,
        /// The revision that the result equals.
        to: Revision,
        /// The difference.
        difference: Difference,
        /// Set if it is the automatic answer to this revision's failure; taken once.
        failed: Option<Revision>,
    },
    /// Everything is to go, and then the stack itself.
    Delete {
        /// Refused if the stack is at another revision.
        base: Option<Revision>,
    },
    /// Nothing new starts.
    Pause,
    /// Go on.
    Resume,
    /// As pause; and what runs is cancelled where the provider can.
    Cancel,
}

/// One part of a change too large for one entry. Parts are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePart {
    /// Names the staged change: a fresh id for each attempt at computing it.
    pub stage: RequestId,
    /// The part's number; the same one again is ignored.
    pub part: u32,
    /// The stack that is to be changed, if it is there: what the parts add to it is then counted as they come, and not at the
    /// commit.
    pub stack: Option<StackId>,
    /// Resources of this part.
    pub set: Vec<SetResource>,
    /// Removals of this part.
    pub remove: Vec<Text>,
}

/// The last entry of a staged change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStaged {
    /// The staged change.
    pub stage: RequestId,
    /// How many parts there are.
    pub parts: u32,
    /// What is asked: a `Create`, `Update` or `Rollback` whose difference has no resources and no
    /// removals of its own.
    pub change: ChangeStack,
}
