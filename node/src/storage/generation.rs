//! Changes of rows that wait to be written, many entries' together. Knows nothing of the database.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;

use super::state::Position;

/// What a row costs beside its key and value, about, in bytes.
const ROW_OVERHEAD: usize = 64;

/// A key and the value of its row; `None`: it is removed.
type Families = Vec<BTreeMap<Vec<u8>, Option<Bytes>>>;

/// One step of a batch.
pub(super) enum Step {
    Put {
        family: usize,
        key: Vec<u8>,
        /// `None`: the row is removed.
        value: Option<Bytes>,
    },
    RemoveRange {
        family: usize,
        keys: Range<Vec<u8>>,
    },
}

/// Changes of rows that some entries in a row made; once it is sealed, nobody adds to it.
#[derive(Default)]
pub(crate) struct Generation {
    /// By family. First all of the removed ranges are removed.
    pub(super) rows: Families,
    pub(super) removed: Vec<(usize, Range<Vec<u8>>)>,
    pub(super) position: Option<Position>,
    /// What it takes in memory, about.
    pub(super) bytes: usize,
}

pub(super) fn covers(keys: &Range<Vec<u8>>, key: &[u8]) -> bool {
    *keys.start <= *key && *key < *keys.end
}

impl Generation {
    pub(super) fn new(families: usize) -> Self {
        Self {
            rows: vec![BTreeMap::new(); families],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, step: Step) {
        match step {
            Step::Put { family, key, value } => {
                let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
                self.bytes += size(&value);
                let key_bytes = key.len() + ROW_OVERHEAD;
                match self.rows[family].insert(key, value) {
                    Some(before) => self.bytes -= size(&before),
                    None => self.bytes += key_bytes,
                }
            }
            Step::RemoveRange { family, keys } => {
                self.rows[family].retain(|key, _| !covers(&keys, key));
                self.bytes += keys.start.len() + keys.end.len() + ROW_OVERHEAD;
                self.removed.push((family, keys));
            }
        }
    }

    /// What it says of a row: its value, or that there is none; `None`: nothing.
    pub(super) fn find(&self, family: usize, key: &[u8]) -> Option<Option<&[u8]>> {
        if let Some(value) = self.rows[family].get(key) {
            return Some(value.as_deref());
        }
        let mut removed = self.removed.iter();
        let is_removed = removed.any(|(of, keys)| *of == family && covers(keys, key));
        is_removed.then_some(None)
    }
}
