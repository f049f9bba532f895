//! A stack, its counts and its lists of ready work. Knows nothing of the rules.

use crate::id::{InstanceId, ResourceId, Revision, Subject, Text};
use crate::outcome::StackStops;
use crate::row::{DesiredRow, RevisionRow, StackRow, Stop};
use crate::state::Tally;
use crate::view::{Counts, Work};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) row: StackRow,
    pub(crate) names: BTreeMap<Text, ResourceId>,
    pub(crate) counts: Counts,
    /// What it declares by its newest revision, whether that has been taken in or not.
    pub(crate) declared: Tally,
    /// Resources that have a desired definition: declared, and taken in.
    pub(crate) desired: u64,
    /// Those of them that are protected.
    pub(crate) protected: BTreeSet<ResourceId>,
    /// Instances that are unwanted.
    pub(crate) unwanted: u64,
    /// Instances with an action in flight.
    pub(crate) running: u64,
    /// What could start now, each with its lane.
    pub(crate) ready: BTreeMap<Work, u32>,
    /// What could start at or after a state time.
    pub(crate) later: BTreeSet<(u64, Work)>,
    pub(crate) lanes: Vec<Lane>,
    /// What has failed at least once since it last went well.
    pub(crate) troubled: BTreeSet<Subject>,
    /// What drifts and is only told.
    pub(crate) drifted: BTreeSet<InstanceId>,
    /// Resources of which some dependents have yet to hear that they are settled no more.
    pub(crate) unsettling: usize,
    /// Resources that would settle upon another footing once all have heard.
    pub(crate) holding_still: BTreeSet<ResourceId>,
    /// Who uses which parameter.
    pub(crate) parameter_users: BTreeSet<(Text, ResourceId)>,
    pub(crate) past: BTreeMap<Revision, Past>,
    /// What forgotten revisions replaced, as far as its rows are still there.
    pub(crate) forgotten_past: BTreeMap<Revision, PastItems>,
    /// It was converged at the end of the last entry that touched it.
    pub(crate) converged: bool,
}

/// Work, ready now or later, that the same engines can do.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) type_name: Text,
    pub(crate) host: Option<Text>,
    pub(crate) count: u64,
}

/// What one change replaced.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) row: RevisionRow,
    pub(crate) items: PastItems,
}

/// What resources should have been before.
pub(crate) type PastItems = BTreeMap<Text, Option<Box<DesiredRow>>>;

impl Stack {
    pub(crate) fn new(row: StackRow) -> Stack {
        Stack {
            row,
            names: BTreeMap::new(),
            counts: Counts::default(),
            declared: Tally::default(),
            desired: 0,
            protected: BTreeSet::new(),
            unwanted: 0,
            running: 0,
            ready: BTreeMap::new(),
            later: BTreeSet::new(),
            lanes: Vec::new(),
            troubled: BTreeSet::new(),
            drifted: BTreeSet::new(),
            unsettling: 0,
            holding_still: BTreeSet::new(),
            parameter_users: BTreeSet::new(),
            past: BTreeMap::new(),
            forgotten_past: BTreeMap::new(),
            converged: false,
        }
    }

    /// A change, or the rest of a large cone, is still being taken in.
    pub(crate) fn takes_in(&self) -> bool {
        !self.row.queue.is_empty()
            || !self.row.unsettling.is_empty()
            || !self.row.telling.is_empty()
    }

    /// Why nothing of it may start.
    pub(crate) fn stops(&self) -> Option<StackStops> {
        if self.takes_in() {
            return Some(StackStops::Queue);
        }
        if self.row.paused {
            return Some(StackStops::Paused);
        }
        match self.row.stop? {
            Stop::Halted => Some(StackStops::Halted),
            Stop::TimedOut => Some(StackStops::TimedOut),
            Stop::RollbackDue => Some(StackStops::RollbackDue),
        }
    }

    /// The lane of this type and host. There are few: types times hosts.
    pub(crate) fn lane(&mut self, type_name: &Text, host: Option<&Text>) -> u32 {
        let same = |lane: &Lane| lane.type_name == *type_name && lane.host.as_ref() == host;
        let at = self.lanes.iter().position(same).unwrap_or_else(|| {
            self.lanes.push(Lane {
                type_name: type_name.clone(),
                host: host.cloned(),
                count: 0,
            });
            self.lanes.len() - 1
        });
        at as u32
    }

    /// Every desired resource is settled, and no change is still being taken in.
    pub(crate) fn settled(&self) -> bool {
        !self.takes_in() && self.counts.settled == self.desired
    }
}
