//! Staged changes: parts that have arrived and wait to be committed, or to be taken in. Knows nothing
//! of what they do.

use crate::id::Text;
use crate::row::{DesiredRow, StageRow, StagedRow};
use crate::state::Compared;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) row: StageRow,
    /// Rows that are still there, by the first position that they ever had.
    rows: BTreeMap<u32, Rest>,
    /// Positions by name.
    pub(crate) names: BTreeMap<Text, u32>,
    /// How many of them are set, not removed.
    sets: u64,
    /// Names of items that are to be protected.
    pub(crate) protected: BTreeSet<Text>,
    /// Compared as the parts came. It is in no row: after a restart it is not known, and has to be found out anew.
    pub(crate) compared: Option<Compared>,
}

/// What is left of one row: items leave at the front as they are taken in.
#[derive(Clone, Debug)]
struct Rest {
    /// The position of the first that is left.
    from: u32,
    items: VecDeque<StagedRow>,
}

impl Rest {
    fn get(&self, position: u32) -> Option<&StagedRow> {
        let offset = position.checked_sub(self.from)?;
        self.items.get(offset as usize)
    }

    fn after(&self, position: Option<u32>) -> impl Iterator<Item = (u32, &StagedRow)> {
        let first = position.map_or(self.from, |position| (position + 1).max(self.from));
        let skipped = (first - self.from) as usize;
        (first..).zip(self.items.iter().skip(skipped))
    }
}

impl Stage {
    pub(crate) fn new(row: StageRow) -> Stage {
        Stage {
            row,
            rows: BTreeMap::new(),
            names: BTreeMap::new(),
            sets: 0,
            protected: BTreeSet::new(),
            compared: None,
        }
    }

    /// Resources that it sets, and names that it removes, as far as they are left.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.sets, self.names.len() as u64 - self.sets)
    }

    /// Another part was compared.
    pub(crate) fn add_compared(&mut self, part: Compared) {
        self.compared = match self.compared.take() {
            None if self.row.parts == 1 => Some(part),
            before => before.and_then(|before| before.and(part)),
        };
    }

    /// It is a revision of a stack from now on, and compared to that no more.
    pub(crate) fn commit(&mut self) {
        self.row.expires_ms = None;
        self.compared = None;
    }

    /// The item at a position at which one is left.
    pub(crate) fn item(&self, position: u32) -> &StagedRow {
        let row = self.rows.range(..=position).next_back();
        row.and_then(|(_, rest)| rest.get(position))
            .expect("an item is asked for where one is left")
    }

    /// What is left, in the order in which it is taken in, after this position.
    pub(crate) fn after(&self, position: Option<u32>) -> impl Iterator<Item = (u32, &StagedRow)> {
        let row = position.and_then(|position| self.rows.range(..=position).next_back());
        let from = row.map_or(0, |(first, _)| *first);
        let rows = self.rows.range(from..);
        rows.flat_map(move |(_, rest)| rest.after(position))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds the items of one row, but for those that are done.
    pub(crate) fn add(&mut self, first: u32, items: Box<[StagedRow]>) {
        let mut items = VecDeque::from(items.into_vec());
        let done = self.row.done.saturating_sub(first).min(items.len() as u32);
        items.drain(..done as usize);
        if items.is_empty() {
            return;
        }
        let from = first + done;
        for (position, item) in (from..).zip(&items) {
            if item.desired.as_ref().is_some_and(DesiredRow::protects) {
                self.protected.insert(item.name.clone());
            }
            self.sets += u64::from(item.desired.is_some());
            self.names.insert(item.name.clone(), position);
        }
        self.rows.insert(first, Rest { from, items });
    }

    /// Takes out the first item; with it, the first position of its row, if it was the last one of that.
    pub(crate) fn take(&mut self) -> Option<(StagedRow, Option<u32>)> {
        let mut row = self.rows.first_entry()?;
        let rest = row.get_mut();
        let item = rest.items.pop_front()?;
        rest.from += 1;
        self.row.done = rest.from;
        let ended = rest.items.is_empty().then(|| row.remove_entry().0);
        self.names.remove(&item.name);
        self.sets -= u64::from(item.desired.is_some());
        self.protected.remove(&item.name);
        Some((item, ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(done: u32) -> Stage {
        let mut stage = Stage::new(StageRow {
            parts: 2,
            items: 5,
            done,
            expires_ms: None,
        });
        for (first, names) in [(0, &["a", "b", "c"][..]), (3, &["d", "e"])] {
            let items = names.iter().map(|name| StagedRow {
                name: (*name).into(),
                desired: None,
            });
            if done < first + names.len() as u32 {
                stage.add(first, items.collect());
            }
        }
        stage
    }

    fn after(stage: &Stage, position: Option<u32>) -> Vec<(u32, &str)> {
        let items = stage.after(position);
        items
            .map(|(position, item)| (position, &*item.name))
            .collect()
    }

    #[test]
    fn items_leave_in_order_and_the_last_one_of_a_row_tells_so() {
        let mut stage = stage(0);
        let taken = std::iter::from_fn(|| {
            let (item, ended) = stage.take()?;
            Some((item.name.to_string(), ended))
        });
        let taken: Vec<_> = taken.collect();
        let expected = [
            ("a", None),
            ("b", None),
            ("c", Some(0)),
            ("d", None),
            ("e", Some(3)),
        ];
        let expected = expected.map(|(name, ended)| (name.to_owned(), ended));
        assert_eq!(taken, expected);
        assert!(stage.is_empty() && stage.names.is_empty());
    }

    #[test]
    fn what_is_left_is_found_by_position_in_whichever_row_and_after_a_restart() {
        let mut taken = stage(0);
        for done in 0..5 {
            let loaded = stage(done);
            let all = [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e")];
            for stage in [&taken, &loaded] {
                assert_eq!(after(stage, None), all[done as usize..]);
                for (position, name) in &all[done as usize..] {
                    assert_eq!(&*stage.item(*position).name, *name);
                    let rest = &all[*position as usize + 1..];
                    assert_eq!(after(stage, Some(*position)), rest);
                }
                assert_eq!(stage.names.len(), 5 - done as usize);
            }
            taken.take();
        }
    }
}
