//! An engine and what it holds. Knows nothing of leases' clocks.

use crate::id::{EngineRef, InstanceId};
use crate::row::{EngineRow, LeaseState};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) row: EngineRow,
    /// Instances with an assignment in flight on this incarnation.
    pub(crate) holds: BTreeSet<InstanceId>,
}

impl Engine {
    pub(crate) fn new(row: EngineRow) -> Engine {
        Engine {
            row,
            holds: BTreeSet::new(),
        }
    }

    pub(crate) fn is(&self, engine: EngineRef) -> bool {
        self.row.incarnation == engine.incarnation
    }

    pub(crate) fn expired(&self) -> bool {
        self.row.lease == LeaseState::Expired
    }

    pub(crate) fn offers(&self, type_name: &str) -> bool {
        self.row
            .offers
            .binary_search_by(|offer| (**offer).cmp(type_name))
            .is_ok()
    }
}
