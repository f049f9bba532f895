//! A resource, and what follows for it from the rows. Knows nothing of the rules.

use crate::command::{ErrorClass, Policy};
use crate::digest::Digest;
use crate::id::{InstanceId, ResourceId};
use crate::row::{DesiredRow, ResourceRow, TroubleRow};
use crate::view::Phase;

#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) row: ResourceRow,
    pub(crate) current: Option<InstanceId>,
    /// With the log index of their deposing, oldest first.
    deposed: Vec<(u64, InstanceId)>,
    pub(crate) trouble: Option<Box<Trouble>>,
    /// How many of what it requires are not settled.
    pub(crate) unsettled: u32,
    pub(crate) settled: bool,
    /// `None`: it is not counted (nothing desired, nothing there).
    pub(crate) phase: Option<Phase>,
    /// It waits to be examined in this entry.
    pub(crate) queued: bool,
    /// Where its making stands with the dispatcher.
    pub(crate) slot: Slot,
}

/// Dependents beyond one id, up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) after: ResourceId,
    pub(crate) through: ResourceId,
}

impl Span {
    pub(crate) fn contains(self, dependent: ResourceId) -> bool {
        self.after < dependent && dependent <= self.through
    }
}

/// How a piece of work is listed for the dispatcher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Not at all.
    #[default]
    None,
    /// Ready, in this lane of its stack.
    Ready(Job, u32),
    /// Ready from this state time (milliseconds) on, in this lane.
    Later(Job, u64, u32),
}

/// What the work in a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Make,
    Look,
    Delete,
}

/// A trouble row without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) attempts: u32,
    pub(crate) class: ErrorClass,
    pub(crate) not_before_ms: u64,
    pub(crate) failed: bool,
    pub(crate) holder: Option<InstanceId>,
}

impl Trouble {
    pub(crate) fn of(row: &TroubleRow) -> Trouble {
        Trouble {
            attempts: row.attempts,
            class: row.class,
            not_before_ms: row.not_before_ms,
            failed: row.failed,
            holder: row.holder,
        }
    }
}

impl Resource {
    pub(crate) fn new(row: ResourceRow) -> Resource {
        Resource {
            row,
            current: None,
            deposed: Vec::new(),
            trouble: None,
            unsettled: 0,
            settled: false,
            phase: None,
            queued: false,
            slot: Slot::None,
        }
    }

    /// Oldest first.
    pub(crate) fn deposed(&self) -> impl DoubleEndedIterator<Item = InstanceId> {
        self.deposed.iter().map(|(_, id)| *id)
    }

    pub(crate) fn has_deposed(&self) -> bool {
        !self.deposed.is_empty()
    }

    pub(crate) fn depose(&mut self, since: u64, id: InstanceId) {
        self.deposed.push((since, id));
        self.deposed.sort();
    }

    pub(crate) fn undepose(&mut self, id: InstanceId) {
        self.deposed.retain(|(_, other)| *other != id);
    }

    pub(crate) fn desired(&self) -> Option<&DesiredRow> {
        self.row.desired.as_ref()
    }

    /// The desired definition; `None`: it should not be.
    pub(crate) fn definition(&self) -> Option<Digest> {
        self.row.desired.as_ref()?.definition
    }

    /// How it, or what is left of it, is to be treated; `None`: in the default way.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match self.desired() {
            Some(desired) if desired.definition.is_some() => desired.policy.as_deref(),
            _ => self.row.last_policy.as_deref(),
        }
    }
}
