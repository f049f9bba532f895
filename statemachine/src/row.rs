//! What is durable: every piece of state that a restart needs is a row. Memory is a function of the
//! rows alone. Knows nothing of how rows are encoded or stored.
//!
//! Three kinds of rows are never read back by the state machine, only written and removed: attribute
//! values, private bytes and properties. Events travel beside the rows.

use crate::command::{ErrorClass, Policy, Reference, Settings, StackOptions, TypeTraits};
use crate::digest::Digest;
use crate::id::{
    EngineRef, InstanceId, RequestId, ResourceId, Revision, StackId, Subject, Text, Token,
};
use crate::outcome::Outcome;
use bytes::Bytes;
use std::fmt;

/// One row written (`Some`) or removed (`None`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Which row.
    pub key: RowKey,
    /// What it says from now on.
    pub value: Option<RowValue>,
}

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// Counters, settings, the last stamp.
    Cluster,
    /// A stack.
    Stack(StackId),
    /// A resource and what it should be.
    Resource(ResourceId),
    /// An instance.
    Instance(InstanceId),
    /// A value that an instance offers; `None`: its reference id.
    Attribute(InstanceId, Option<Text>),
    /// The provider's private bytes.
    Private(InstanceId),
    /// The evaluated properties that an instance was last made from.
    Properties(InstanceId),
    /// Failures of a resource's making, or of an instance's look or deletion.
    Trouble(Subject),
    /// A definition's type, references and body.
    Definition(Digest),
    /// A template head, a fragment, or a parameter text.
    Blob(Digest),
    /// An engine.
    Engine(u64),
    /// An answered request.
    Request(RequestId),
    /// What a change replaced in the stack as a whole: undoing it leads to the revision before.
    Revision(StackId, Revision),
    /// What a change replaced in one resource.
    Past(StackId, Revision, Text),
    /// A staged change.
    Stage(RequestId),
    /// Resources of a staged change that came together: their positions go on from this one.
    Staged(RequestId, u32),
    /// An instance that was forgotten while a call on it might still land.
    Tombstone(InstanceId),
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowValue {
    /// See [`RowKey::Cluster`].
    Cluster(ClusterRow),
    /// See [`RowKey::Stack`].
    Stack(Box<StackRow>),
    /// See [`RowKey::Resource`].
    Resource(Box<ResourceRow>),
    /// See [`RowKey::Instance`].
    Instance(Box<InstanceRow>),
    /// See [`RowKey::Attribute`].
    Attribute(AttributeRow),
    /// See [`RowKey::Private`].
    Private(Bytes),
    /// See [`RowKey::Properties`].
    Properties(Bytes),
    /// See [`RowKey::Trouble`].
    Trouble(TroubleRow),
    /// See [`RowKey::Definition`].
    Definition(DefinitionRow),
    /// See [`RowKey::Blob`].
    Blob(Bytes),
    /// See [`RowKey::Engine`].
    Engine(Box<EngineRow>),
    /// See [`RowKey::Request`].
    Request(Outcome),
    /// See [`RowKey::Revision`].
    Revision(Box<RevisionRow>),
    /// See [`RowKey::Past`].
    Past(Option<Box<DesiredRow>>),
    /// See [`RowKey::Stage`].
    Stage(StageRow),
    /// See [`RowKey::Staged`].
    Staged(Box<[StagedRow]>),
    /// See [`RowKey::Tombstone`].
    Tombstone(Box<TombstoneRow>),
}

/// Counters and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterRow {
    /// The last resource id given.
    pub last_resource: u64,
    /// The last instance id given.
    pub last_instance: u64,
    /// The last member id given.
    pub last_member: u64,
    /// The feature level.
    pub feature_level: u32,
    /// Cluster-wide limits.
    pub settings: Settings,
    /// Hosts that are gone, and not all of what lived there is forgotten yet.
    pub forgetting: Vec<Text>,
}

/// A stack as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackRow {
    /// Its namespace.
    pub namespace: Text,
    /// Its name.
    pub name: Text,
    /// It holds its name (false: kept only to delete late finds of a stack that is gone).
    pub named: bool,
    /// The newest revision.
    pub revision: Revision,
    /// The last revision that was settled at some moment while it was the newest.
    pub settled_revision: Revision,
    /// Its options.
    pub options: StackOptions,
    /// The template without its resources.
    pub head: Option<Digest>,
    /// The parameter values.
    pub parameters: Option<Digest>,
    /// Paused by a person.
    pub paused: bool,
    /// What runs is to be cancelled where it can be.
    pub cancelling: bool,
    /// Everything is to go.
    pub deleting: bool,
    /// A failure stopped it.
    pub stop: Option<Stop>,
    /// The newest revision is itself a rollback, and is not rolled back again.
    pub rolling_back: bool,
    /// When the newest change's timeout passes.
    pub deadline: Option<Deadline>,
    /// Events of entries before this index were dropped.
    pub events_from: u64,
    /// Changes that are accepted and not yet all taken in.
    pub queue: Vec<Pending>,
    /// The rest of a large cone that settles. The last is carried on first.
    pub telling: Vec<Telling>,
    /// The rest of a large cone that is settled no more. The last is carried on first.
    pub unsettling: Vec<Unsettling>,
    /// Wall time of its creation. Milliseconds since 1970.
    pub created_wall_ms: u64,
    /// Wall time of its newest revision. Milliseconds since 1970.
    pub revised_wall_ms: u64,
}

/// Why a stack starts nothing until its next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A failure under `on_failure: halt`.
    Halted,
    /// The timeout passed.
    TimedOut,
    /// A failure under `on_failure: rollback`.
    RollbackDue,
}

/// A timeout that stands still while the stack is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Running: it passes at this state time. Milliseconds.
    At(u64),
    /// Standing still: so much is left. Milliseconds.
    Left(u64),
}

/// A resource that is settled, while not all that depend on it know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The resource.
    pub resource: ResourceId,
    /// Dependents up to this id know.
    pub through: ResourceId,
}

/// A resource that was settled and is no more, while not all that depend on it know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettling {
    /// The resource.
    pub resource: ResourceId,
    /// Dependents up to this id know.
    pub after: ResourceId,
    /// Those beyond this one never knew that it was settled.
    pub through: ResourceId,
}

/// A step of an accepted change that is taken in bit by bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Take in a staged change.
    Switch {
        /// The staged change.
        stage: RequestId,
        /// The revision that it makes.
        revision: Revision,
    },
    /// Desire nothing any more.
    Clear {
        /// The revision that does.
        revision: Revision,
        /// Resources up to this name are done with.
        after: Option<Text>,
    },
    /// Forget failures.
    Forgive,
}

/// What a resource should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRow {
    /// The definition; `None`: in the template, but its condition is false.
    pub definition: Option<Digest>,
    /// Its piece of the template.
    pub fragment: Digest,
    /// What must be settled first without being referred to.
    pub depends_on: Box<[Text]>,
    /// Parameters that the definition was computed from.
    pub parameters_used: Box<[Text]>,
    /// How it is to be treated; `None`: in the default way.
    pub policy: Option<Box<Policy>>,
    /// What its type can do.
    pub traits: TypeTraits,
    /// The revision that said so.
    pub revision: Revision,
}

impl DesiredRow {
    /// It must be kept.
    pub fn protects(&self) -> bool {
        let policy = self.policy.as_deref();
        self.definition.is_some() && policy.is_some_and(|policy| policy.protect)
    }
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRow {
    /// Its stack.
    pub stack: StackId,
    /// Its name.
    pub name: Text,
    /// What it should be; `None`: it is in no template any more.
    pub desired: Option<DesiredRow>,
    /// The policy for what is left of a resource that is no longer desired.
    pub last_policy: Option<Box<Policy>>,
    /// What the desired definition requires, without repetition, in id order.
    pub requires: Box<[ResourceId]>,
    /// The fingerprint for which the provider demanded a replacement.
    pub replacing: Option<Box<Digest>>,
}

/// What is known of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// Nothing is there.
    Absent,
    /// Something may be there.
    Unknown,
    /// It is there.
    Present {
        /// And well.
        healthy: bool,
    },
}

/// What an instance is to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The one that counts.
    Current,
    /// It waits to be deleted.
    Deposed {
        /// Log index of its deposing: the newest is taken back first.
        since: u64,
        /// It goes before its successor is made.
        before_successor: bool,
    },
}

/// What is done to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Make it.
    Create,
    /// Make it right.
    Update,
    /// Unmake it.
    Delete,
    /// See what is there.
    Look,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Look => "look",
        })
    }
}

/// The right and duty of one engine to do one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentRow {
    /// Who.
    pub engine: EngineRef,
    /// The fencing token.
    pub token: Token,
    /// What.
    pub action: Action,
    /// The definition aimed at (create, update), made by (delete), or looked for.
    pub definition: Digest,
    /// The call must not run after this state time. Milliseconds.
    pub not_after_ms: u64,
    /// Chunk number within the entry, and place in the chunk.
    pub chunk: Option<(u32, u32)>,
    /// Its engine's lease ended before it reported: it is not in flight, but a late report counts as
    /// long as no newer assignment is given.
    pub lost: bool,
    /// State time of the assignment. Milliseconds.
    pub since_ms: u64,
    /// What the instance required before; it does again if the assignment is declined.
    pub requires_before: Box<[InstanceId]>,
    /// What it requires if all goes well. While the action runs, it is both.
    pub requires_after: Box<[InstanceId]>,
    /// This delete is the instance's first: declining it makes the instance wanted again.
    pub first_delete: bool,
    /// Instances that required this one until its delete-first deletion began.
    pub cut: Box<[InstanceId]>,
}

/// The effect that is under way, over all attempts at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectRow {
    /// The idempotency key's last part: log index of the first assignment of this effect.
    pub key: u64,
    /// What kind.
    pub action: Action,
    /// The definition aimed at.
    pub definition: Digest,
    /// The fingerprint aimed at; `None`: not known (yet).
    pub aim: Option<Digest>,
    /// After this state time no call of it runs any more. Milliseconds.
    pub not_after_ms: u64,
    /// An attempt ended without a verdict.
    pub in_doubt: bool,
    /// A look has seen nothing.
    pub seen_absent: bool,
}

/// Drift that is only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedDrift {
    /// It is not there.
    Vanished,
    /// It differs.
    Changed,
    /// It is not well.
    Unhealthy,
}

/// A value that an instance offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The attribute; `None`: the reference id.
    pub name: Option<Text>,
    /// The value's digest.
    pub digest: Digest,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRow {
    /// Its resource.
    pub resource: ResourceId,
    /// What it is to it.
    pub role: Role,
    /// The instance id that its object is tagged with: its own, but for late finds.
    pub origin: InstanceId,
    /// What its type can do.
    pub traits: TypeTraits,
    /// Where it lives, if host-bound.
    pub host: Option<Text>,
    /// The provider's id for it.
    pub physical_id: Option<Text>,
    /// The definition that it was last made (or is being made) from.
    pub definition: Digest,
    /// What it was last made to match; `None`: it must be updated.
    pub fingerprint: Option<Digest>,
    /// What it offers.
    pub outputs: Box<[Output]>,
    /// The instances it was built on, in id order.
    pub requires: Box<[InstanceId]>,
    /// What is known of it.
    pub observed: Observed,
    /// A provider has seen it.
    pub seen_present: bool,
    /// Its deletion was begun; there is no way back.
    pub delete_begun: bool,
    /// Its create failed half-way, or it is a late find: it can't be kept.
    pub condemned: bool,
    /// A call on it may have been lost at some time.
    pub lost_once: bool,
    /// Its provider can't look; a person decides.
    pub on_hold: bool,
    /// Drift that is only told.
    pub drift: Option<ReportedDrift>,
    /// Its one assignment.
    pub assignment: Option<Box<AssignmentRow>>,
    /// The effect under way.
    pub effect: Option<Box<EffectRow>>,
    /// Log index of the last entry that assigned, judged or changed it.
    pub last_change: u64,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeRow {
    /// Its digest.
    pub digest: Digest,
    /// Its canonical bytes.
    pub bytes: Bytes,
    /// Masked when shown.
    pub sensitive: bool,
}

/// Failures, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TroubleRow {
    /// Attempts that failed.
    pub attempts: u32,
    /// The last one's class.
    pub class: ErrorClass,
    /// Not tried again before this state time. Milliseconds.
    pub not_before_ms: u64,
    /// Not tried again at all until something changes.
    pub failed: bool,
    /// The instance that holds the name it needs.
    pub holder: Option<InstanceId>,
    /// The last failure's words (not kept in memory).
    pub message: Text,
}

/// A definition without policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionRow {
    /// The type.
    pub type_name: Text,
    /// What it refers to.
    pub references: Box<[Reference]>,
    /// Opaque (not kept in memory).
    pub body: Bytes,
}

/// What an engine's lease allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It takes work.
    Live,
    /// It finishes what it has.
    Draining,
    /// It is over.
    Expired,
}

impl LeaseState {
    /// The word that listings show.
    pub fn word(self) -> &'static str {
        match self {
            LeaseState::Live => "live",
            LeaseState::Draining => "draining",
            LeaseState::Expired => "expired",
        }
    }
}

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineRow {
    /// Log index of its registration.
    pub incarnation: u64,
    /// Its machine.
    pub host: Text,
    /// HOST:PORT of its member.
    pub address: Text,
    /// Most actions at once.
    pub capacity: u32,
    /// Types that it offers, in order.
    pub offers: Box<[Text]>,
    /// Its labels.
    pub labels: Box<[(Text, Text)]>,
    /// Its lease.
    pub lease: LeaseState,
}

/// What a change replaced in the stack as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionRow {
    /// The head before.
    pub head: Option<Digest>,
    /// The parameters before.
    pub parameters: Option<Digest>,
    /// The options before.
    pub options: StackOptions,
    /// Wall time of the change. Milliseconds since 1970.
    pub wall_ms: u64,
    /// The revision that this one put back, if it was a rollback.
    pub rollback_to: Option<Revision>,
}

/// A staged change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRow {
    /// Parts taken.
    pub parts: u32,
    /// Items taken.
    pub items: u32,
    /// Items before this position have been taken in, or dropped; their rows may still be there.
    pub done: u32,
    /// It is dropped at this state time unless committed; `None`: it is committed. Milliseconds.
    pub expires_ms: Option<u64>,
}

/// One item of a staged change; its bytes are rows of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedRow {
    /// The resource's name.
    pub name: Text,
    /// What it is to be; `None`: it is to be removed.
    pub desired: Option<DesiredRow>,
}

/// What a forgotten instance was, for a late physical id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TombstoneRow {
    /// Its stack.
    pub stack: StackId,
    /// Its stack's namespace.
    pub namespace: Text,
    /// Its stack's name.
    pub stack_name: Text,
    /// Its resource's name.
    pub resource: Text,
    /// Its definition.
    pub definition: Digest,
    /// What its type can do.
    pub traits: TypeTraits,
    /// Where it lived.
    pub host: Option<Text>,
    /// The token of its last assignment.
    pub token: Token,
    /// Wall time of its forgetting. Milliseconds since 1970.
    pub wall_ms: u64,
    /// What was left in the world on purpose: hearing of it late is no reason to delete it.
    pub retained: Option<Text>,
}
