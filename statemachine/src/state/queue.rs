//! Staged changes: parts that have arrived and wait to be committed, or to be taken in. Knows nothing
//! of what they do.

use crate::id::{Revision, StackId, Text};
use crate::row::{DesiredRow, StageRow, StagedRow};
use std::collections::{BTreeMap, BTreeSet};

/// Names that the parts of a staged change add to what a stack declares at a revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    pub(crate) to: (StackId, Revision),
    pub(crate) names: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) row: StageRow,
    /// By position. Items that are taken in leave.
    pub(crate) items: BTreeMap<u32, StagedRow>,
    /// Rows that are still there: first position, and the one after the last.
    spans: BTreeMap<u32, u32>,
    /// Positions by name.
    pub(crate) names: BTreeMap<Text, u32>,
    /// Names of items that are to be protected.
    pub(crate) protected: BTreeSet<Text>,
    /// Counted as the parts came. It is in no row: after a restart it is not known, and has to be counted anew.
    pub(crate) added: Option<Added>,
}

impl Stage {
    pub(crate) fn new(row: StageRow) -> Stage {
        Stage {
            row,
            items: BTreeMap::new(),
            spans: BTreeMap::new(),
            names: BTreeMap::new(),
            protected: BTreeSet::new(),
            added: None,
        }
    }

    /// Another part adds so much; `None`: it is not known.
    pub(crate) fn count_added(&mut self, part: Option<Added>) {
        let is_first = self.row.parts == 1;
        self.added = match (self.added, part) {
            (None, part) if is_first => part,
            (Some(before), Some(part)) if before.to == part.to => Some(Added {
                names: before.names + part.names,
                ..part
            }),
            _ => None,
        };
    }

    /// Names that it adds to what its stack declares, at most.
    pub(crate) fn may_add(&self) -> u64 {
        let all = self.items.len() as u64;
        self.added.map_or(all, |added| added.names)
    }

    /// Adds the items of one row, but for those that are done.
    pub(crate) fn add(&mut self, first: u32, items: Box<[StagedRow]>) {
        let after = first + items.len() as u32;
        self.spans.insert(first, after);
        for (position, item) in (first..after).zip(items) {
            if position < self.row.done {
                continue;
            }
            if item.desired.as_ref().is_some_and(DesiredRow::protects) {
                self.protected.insert(item.name.clone());
            }
            self.names.insert(item.name.clone(), position);
            self.items.insert(position, item);
        }
    }

    /// Takes out the first item; with it, the first position of its row, if it was the last one of that.
    pub(crate) fn take(&mut self) -> Option<(StagedRow, Option<u32>)> {
        let (position, item) = self.items.pop_first()?;
        self.names.remove(&item.name);
        self.protected.remove(&item.name);
        self.row.done = position + 1;
        let span = self.spans.first_entry()?;
        let ended = (*span.get() == self.row.done).then(|| span.remove_entry().0);
        Some((item, ended))
    }
}
