//! Rows as they were at one moment: what waited to be written then, over what the database had.

use std::{
    collections::BTreeMap,
    io,
    ops::{Bound, Range},
    sync::Arc,
};

use rocksdb::SnapshotWithThreadMode;

use super::{
    generation::{Generation, covers},
    io_error,
    write_behind::WriteBehind,
};

/// What an iterator of the database gives.
type Stored = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

/// What waits, as of one moment, over the rows that the database had then.
pub(crate) struct Pinned<'a> {
    pub(super) rows: &'a WriteBehind,
    pub(super) snapshot: SnapshotWithThreadMode<'a, rocksdb::DB>,
    /// Oldest first.
    pub(super) waiting: Vec<Arc<Generation>>,
}

impl Pinned<'_> {
    /// A row's bytes.
    pub(crate) fn get(&self, family: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let number = self.rows.number(family);
        let mut newest_first = self.waiting.iter().rev();
        match newest_first.find_map(|it| it.find(number, key)) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => {
                let found = self.snapshot.get_cf(self.rows.family(family), key);
                found.map_err(io_error)
            }
        }
    }

    /// The rows of a family from a key on, up to another; an empty one is the end of all.
    pub(crate) fn rows(
        &self,
        family: &str,
        from: &[u8],
        end: Vec<u8>,
    ) -> impl Iterator<Item = io::Result<(Box<[u8]>, Vec<u8>)>> {
        let number = self.rows.number(family);
        let end = Some(end).filter(|end| !end.is_empty());
        let mut waiting: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let mut removed: Vec<&Range<Vec<u8>>> = Vec::new();
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        for generation in &self.waiting {
            let ranges = generation.removed.iter();
            for (_, keys) in ranges.filter(|(family, _)| *family == number) {
                waiting.retain(|key, _| !covers(keys, key));
                removed.push(keys);
            }
            let rows = &generation.rows[number];
            let within = (Bound::Included(from), upper);
            let within = match end.as_deref().is_some_and(|end| end <= from) {
                true => None,
                false => Some(rows.range::<[u8], _>(within)),
            };
            let rows = within.into_iter().flatten();
            waiting.extend(rows.map(|(key, value)| (&**key, value.as_deref())));
        }
        let mut options = rocksdb::ReadOptions::default();
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        let mode = rocksdb::IteratorMode::From(from, rocksdb::Direction::Forward);
        let stored = self
            .snapshot
            .iterator_cf_opt(self.rows.family(family), options, mode);
        let mut stored = stored.peekable();
        let mut waiting = waiting.into_iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let waits_first = match (stored.peek(), waiting.peek()) {
                    (Some(Ok((key, _))), Some((next, _))) => **next <= **key,
                    (Some(_), _) => false,
                    (None, Some(_)) => true,
                    (None, None) => return None,
                };
                if waits_first {
                    let (key, value) = waiting.next()?;
                    // What it replaces.
                    let replaced =
                        |it: &Stored| it.as_ref().is_ok_and(|(stored, _)| **stored == *key);
                    stored.next_if(replaced);
                    let Some(value) = value else { continue };
                    return Some(Ok((key.into(), value.to_vec())));
                }
                let (key, value) = match stored.next()? {
                    Ok(row) => row,
                    Err(error) => return Some(Err(io_error(error))),
                };
                if !removed.iter().any(|keys| covers(keys, &key)) {
                    return Some(Ok((key, value.into_vec())));
                }
            }
        })
    }
}
