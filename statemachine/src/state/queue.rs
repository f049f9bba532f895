//! Staged changes: parts that have arrived and wait to be committed, or to be taken in. Knows nothing
//! of what they do.

use crate::id::Text;
use crate::row::{DesiredRow, StageRow, StagedRow};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) row: StageRow,
    /// By position. Items that are taken in leave.
    pub(crate) items: BTreeMap<u32, Box<StagedRow>>,
    /// Positions by name.
    pub(crate) names: BTreeMap<Text, u32>,
    /// Names of items that are to be protected.
    pub(crate) protected: BTreeSet<Text>,
}

impl Stage {
    pub(crate) fn new(row: StageRow) -> Stage {
        Stage {
            row,
            items: BTreeMap::new(),
            names: BTreeMap::new(),
            protected: BTreeSet::new(),
        }
    }

    pub(crate) fn add(&mut self, position: u32, item: Box<StagedRow>) {
        if item.desired.as_ref().is_some_and(DesiredRow::protects) {
            self.protected.insert(item.name.clone());
        }
        self.names.insert(item.name.clone(), position);
        self.items.insert(position, item);
    }

    /// Takes out the first item.
    pub(crate) fn take(&mut self) -> Option<(u32, Box<StagedRow>)> {
        let (position, item) = self.items.pop_first()?;
        self.names.remove(&item.name);
        self.protected.remove(&item.name);
        Some((position, item))
    }
}
