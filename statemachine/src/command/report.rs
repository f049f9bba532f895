//! What engines tell: results of assigned actions, and differences seen by observation. Knows nothing
//! of how they are judged.

use crate::digest::Digest;
use crate::id::{EngineRef, InstanceId, Text, Token};
use bytes::Bytes;

/// The result of one assigned action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportItem {
    /// The instance acted on.
    pub instance: InstanceId,
    /// The assignment's token.
    pub token: Token,
    /// Who acted.
    pub engine: EngineRef,
    /// How it ended.
    pub result: ActionResult,
}

/// A value that an instance offers to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The attribute's name; `None` is the reference id.
    pub name: Option<Text>,
    /// Digest of `bytes` (see [`crate::digest::value_digest`]).
    pub digest: Digest,
    /// The value in its canonical form.
    pub bytes: Bytes,
    /// It is masked when shown.
    pub sensitive: bool,
}

/// A value that an action used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The resource's name, as the definition refers to it.
    pub resource: Text,
    /// The attribute; `None` is the reference id.
    pub attribute: Option<Text>,
    /// Digest of the value used ([`crate::digest::missing_value`] if there was none).
    pub digest: Digest,
}

/// What there is after an action that went well, or a look that found something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The provider's id for it; `None` leaves the one known.
    pub physical_id: Option<Text>,
    /// Everything it offers, the reference id included. Replaces what was known.
    pub values: Vec<Value>,
    /// The provider's private bytes; `None` leaves them.
    pub private: Option<Bytes>,
    /// The evaluated properties it was made from; `None` leaves them.
    pub properties: Option<Bytes>,
    /// Every value that the definition refers to, with what was really used.
    pub inputs: Vec<Input>,
    /// False: it is there but not as it should be; it does not settle.
    pub unhealthy: bool,
}

/// How soon trying again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// It may pass by itself.
    Transient,
    /// A quota is exceeded.
    Quota,
    /// The request itself is at fault.
    Permanent,
    /// The name is held by something else.
    Conflict,
}

/// An action that the provider says has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How soon trying again makes sense.
    pub class: ErrorClass,
    /// The provider declares that nothing happened. If neither this nor `left_something` is set, the
    /// failure is no verdict, and the instance is `Unknown`.
    pub before_effect: bool,
    /// The provider declares that the action stopped half-way.
    pub left_something: bool,
    /// The provider's words.
    pub message: Text,
    /// Not before this long from now. Milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The id of what is there, as far as known.
    pub physical_id: Option<Text>,
    /// What else the provider tells of what the action left: without it, it might not know how to delete it.
    pub left: Option<Box<Left>>,
}

/// What is known of something half-made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Everything it offers, as far as known.
    pub values: Vec<Value>,
    /// The provider's private bytes.
    pub private: Bytes,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Nothing.
    Absent,
    /// What the lost action aimed at.
    AsAimed(Done),
    /// Something else.
    Otherwise(Done),
    /// The provider can't tell.
    CannotLook {
        /// Why.
        message: Text,
    },
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// As asked. For a delete: it is no more.
    Done(Done),
    /// It can't be updated in place; nothing was changed.
    NeedsReplace {
        /// Which properties demand it.
        because: Text,
    },
    /// Never begun.
    Declined {
        /// Why.
        reason: Text,
    },
    /// The provider says that it failed.
    Failed(Failure),
    /// It ended without a verdict: deadline, abort, cancellation, broken connection.
    NoVerdict {
        /// What is known.
        message: Text,
        /// The id of what may be there, as far as known.
        physical_id: Option<Text>,
    },
    /// What a look found.
    Looked(Looked),
    /// An update or delete found nothing there.
    Gone,
    /// A create found the name held by something that is not this instance.
    Conflict {
        /// The provider's words.
        message: Text,
        /// The name.
        physical_id: Option<Text>,
    },
    /// An id that became known after the action was reported or lost.
    LatePhysicalId {
        /// The id.
        physical_id: Text,
    },
}

impl ActionResult {
    /// The physical id in it, if it says that something is there.
    pub fn physical_id(&self) -> Option<&Text> {
        match self {
            Self::Done(Done { physical_id, .. })
            | Self::Failed(Failure { physical_id, .. })
            | Self::NoVerdict { physical_id, .. }
            | Self::Looked(
                Looked::AsAimed(Done { physical_id, .. })
                | Looked::Otherwise(Done { physical_id, .. }),
            ) => physical_id.as_ref(),
            Self::LatePhysicalId { physical_id } => Some(physical_id),
            Self::NeedsReplace { .. }
            | Self::Declined { .. }
            | Self::Gone
            | Self::Conflict { .. }
            | Self::Looked(Looked::Absent | Looked::CannotLook { .. }) => None,
        }
    }
}

/// What observation saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is as it should be again (ends a drift that was only reported).
    Same,
    /// It is not there any more.
    Vanished,
    /// It differs.
    Changed {
        /// How, property by property, for people.
        difference: Text,
    },
    /// It is there, and not well.
    Unhealthy {
        /// Why.
        message: Text,
    },
}

/// A difference seen by observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObserveItem {
    /// The instance observed.
    pub instance: InstanceId,
    /// Its last-change index when the reading began.
    pub last_change: u64,
    /// What was seen.
    pub seen: Seen,
}
