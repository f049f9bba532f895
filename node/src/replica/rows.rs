//! Typed reads of the rows on disk: single rows, and ranges of them.
//!
//! Reads of the newest rows may see more than what memory was read as; [`Rows`] that are pinned, and those
//! given by [`super::Replica::read_then`], see one moment. Rows that can't be read are told as fatal here, whoever
//! reads: what a member answers and does without them would be wrong. Knows nothing of how rows come to be.

use std::{io, sync::Arc};

use anneal_statemachine::{
    digest::Digest,
    event::Event,
    id::{InstanceId, Revision, StackId, Text},
    row::{AttributeRow, DefinitionRow, DesiredRow, RevisionRow, RowKey, RowValue},
};
use bytes::Bytes;
use rocksdb::{IteratorMode, ReadOptions};

use super::fatal::Fatal;
use crate::{
    codec::{self, key},
    storage::{io_error, pinned::Pinned, state::StateStore},
};

/// The rows of one replica, as of whenever they are read. An installed checkpoint replaces the rows of a replica,
/// not those of a reader: take one for each piece of work.
#[derive(Clone)]
pub struct RowReader {
    store: Arc<StateStore>,
    fatal: Fatal,
}

impl RowReader {
    pub(super) fn new(store: Arc<StateStore>, fatal: Fatal) -> Self {
        Self { store, fatal }
    }

    pub(super) fn store(&self) -> &Arc<StateStore> {
        &self.store
    }

    /// Rows, each as of when it is read.
    pub fn newest(&self) -> Rows<'_> {
        Rows {
            store: &self.store,
            fatal: &self.fatal,
            pinned: None,
        }
    }

    /// Rows as of now.
    pub fn pinned(&self) -> Rows<'_> {
        Rows {
            store: &self.store,
            fatal: &self.fatal,
            pinned: Some(self.store.pin()),
        }
    }
}

/// Rows to read from.
pub struct Rows<'a> {
    store: &'a StateStore,
    fatal: &'a Fatal,
    pinned: Option<Pinned<'a>>,
}

impl Rows<'_> {
    /// Any row.
    ///
    /// # Errors
    /// If it can't be read, as with every other read here; the member has been told and ends over it.
    pub fn get(&self, row: &RowKey) -> io::Result<Option<RowValue>> {
        self.told(self.get_unchecked(row))
    }

    fn get_unchecked(&self, row: &RowKey) -> io::Result<Option<RowValue>> {
        let bytes = self.bytes(key::family(row), &key::encode(row))?;
        decoded(row, bytes)
    }

    /// A definition, with its body.
    pub fn definition(&self, digest: Digest) -> io::Result<Option<DefinitionRow>> {
        self.expect(&RowKey::Definition(digest), |row| match row {
            RowValue::Definition(row) => Some(row),
            _ => None,
        })
    }

    /// A template head, a fragment, or parameters.
    pub fn blob(&self, digest: Digest) -> io::Result<Option<Bytes>> {
        self.expect(&RowKey::Blob(digest), |row| match row {
            RowValue::Blob(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// A value that an instance offers; without a name: its reference id.
    pub fn attribute(
        &self,
        instance: InstanceId,
        name: Option<&Text>,
    ) -> io::Result<Option<AttributeRow>> {
        self.expect(
            &RowKey::Attribute(instance, name.cloned()),
            |row| match row {
                RowValue::Attribute(row) => Some(row),
                _ => None,
            },
        )
    }

    /// Every value that an instance offers under a name, by name.
    pub fn attributes(&self, instance: InstanceId) -> io::Result<Vec<(Text, AttributeRow)>> {
        let mut attributes = Vec::new();
        self.scan(
            key::VALUES,
            &key::attributes_of(instance),
            None,
            |row, value| {
                if let (RowKey::Attribute(_, Some(name)), RowValue::Attribute(value)) = (row, value)
                {
                    attributes.push((name, value));
                }
                true
            },
        )?;
        Ok(attributes)
    }

    /// The provider's private bytes of an instance.
    pub fn private(&self, instance: InstanceId) -> io::Result<Option<Bytes>> {
        self.expect(&RowKey::Private(instance), |row| match row {
            RowValue::Private(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The properties that an instance was last made from.
    pub fn properties(&self, instance: InstanceId) -> io::Result<Option<Bytes>> {
        self.expect(&RowKey::Properties(instance), |row| match row {
            RowValue::Properties(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// What each change of a stack that is not forgotten replaced, by the revision that it made.
    pub fn revisions(&self, stack: StackId) -> io::Result<Vec<(Revision, RevisionRow)>> {
        let mut revisions = Vec::new();
        self.scan(
            key::HISTORY,
            &key::revisions_of(stack),
            None,
            |row, value| {
                if let (RowKey::Revision(_, revision), RowValue::Revision(value)) = (row, value) {
                    revisions.push((revision, *value));
                }
                true
            },
        )?;
        Ok(revisions)
    }

    /// What the change that made a revision replaced, resource by resource (`None`: it was not there).
    pub fn past(
        &self,
        stack: StackId,
        revision: Revision,
    ) -> io::Result<Vec<(Text, Option<DesiredRow>)>> {
        let mut past = Vec::new();
        self.scan(
            key::HISTORY,
            &key::past_of(stack, revision),
            None,
            |row, value| {
                if let (RowKey::Past(_, _, name), RowValue::Past(value)) = (row, value) {
                    past.push((name, value.map(|row| *row)));
                }
                true
            },
        )?;
        Ok(past)
    }

    /// Up to `limit` events of a stack (`None`: of the cluster) after a place (log index, place in the entry), in
    /// order.
    pub fn events(
        &self,
        stack: Option<StackId>,
        after: (u64, u32),
        limit: usize,
    ) -> io::Result<Vec<Event>> {
        self.told(self.events_unchecked(stack, after, limit))
    }

    fn events_unchecked(
        &self,
        stack: Option<StackId>,
        after: (u64, u32),
        limit: usize,
    ) -> io::Result<Vec<Event>> {
        // The row that holds the place begins with it or before.
        let from = key::event(stack, after.0, 0);
        let end = key::event(stack, u64::MAX, u32::MAX);
        let mut events = Vec::new();
        self.each(key::EVENTS, &from, end, |key, bytes| {
            let row = codec::decode_events(key, bytes.into())?;
            let new = |event: &Event| (event.index, event.ordinal) > after;
            events.extend(row.into_iter().filter(new));
            Ok(events.len() < limit)
        })?;
        events.truncate(limit);
        Ok(events)
    }

    /// The log index and the size in bytes of every row of events of a stack, in order.
    pub fn event_sizes(&self, stack: StackId) -> io::Result<Vec<(u64, u64)>> {
        self.told(self.event_sizes_unchecked(stack))
    }

    fn event_sizes_unchecked(&self, stack: StackId) -> io::Result<Vec<(u64, u64)>> {
        let from = key::event(Some(stack), 0, 0);
        let end = key::event(Some(stack), u64::MAX, u32::MAX);
        let mut sizes = Vec::new();
        self.each(key::EVENTS, &from, end, |key, bytes| {
            let (_, index, _) = key::decode_event(key)?;
            sizes.push((index, (key.len() + bytes.len()) as u64));
            Ok(true)
        })?;
        Ok(sizes)
    }

    /// The log index at which a namespace last lost a stack, and with it that stack's events; 0: none that is known.
    pub fn removed_in(&self, namespace: &str) -> io::Result<u64> {
        self.told(self.removed_in_unchecked(namespace))
    }

    fn removed_in_unchecked(&self, namespace: &str) -> io::Result<u64> {
        let bytes = self.bytes(key::EVENTS, &key::removed_in(namespace))?;
        let Some(bytes) = bytes else { return Ok(0) };
        let index = bytes.try_into().map_err(|_| {
            let why = format!("what namespace {namespace} has lost is no log index");
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(u64::from_be_bytes(index))
    }

    fn bytes(&self, family: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match &self.pinned {
            Some(pinned) => pinned.get(family, key),
            None => self.store.get(family, key),
        }
    }

    /// Rows of a family whose keys begin with `prefix`, from `start` on if given, until `take` says no.
    fn scan(
        &self,
        family: &str,
        prefix: &[u8],
        start: Option<&RowKey>,
        take: impl FnMut(RowKey, RowValue) -> bool,
    ) -> io::Result<()> {
        self.told(self.scan_unchecked(family, prefix, start, take))
    }

    fn scan_unchecked(
        &self,
        family: &str,
        prefix: &[u8],
        start: Option<&RowKey>,
        mut take: impl FnMut(RowKey, RowValue) -> bool,
    ) -> io::Result<()> {
        let end = key::after(prefix);
        let from = start.map_or_else(|| prefix.to_vec(), key::encode);
        self.each(family, &from, end, |key, bytes| {
            let row = key::decode(key)?;
            let value = codec::decode_row(&row, bytes.into())?;
            Ok(take(row, value))
        })
    }

    /// Rows of a family from a key on, up to another, until `take` says no: all of one moment.
    fn each(
        &self,
        family: &str,
        from: &[u8],
        end: Vec<u8>,
        mut take: impl FnMut(&[u8], Vec<u8>) -> io::Result<bool>,
    ) -> io::Result<()> {
        let now = match &self.pinned {
            Some(_) => None,
            None => Some(self.store.pin()),
        };
        let pinned = self.pinned.as_ref().or(now.as_ref());
        let pinned = pinned.expect("pinned before, or now");
        for row in pinned.rows(family, from, end) {
            let (key, bytes) = row?;
            if !take(&key, bytes)? {
                break;
            }
        }
        Ok(())
    }

    fn told<T>(&self, read: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &read {
            let path = self.store.db().path().display();
            self.fatal
                .tell(format_args!("the rows in {path} cannot be read: {error}"));
        }
        read
    }

    fn expect<T>(
        &self,
        row: &RowKey,
        as_kind: impl FnOnce(RowValue) -> Option<T>,
    ) -> io::Result<Option<T>> {
        Ok(self.get(row)?.and_then(as_kind))
    }
}

/// A row as the last batch left it.
pub(super) fn stored(store: &StateStore, row: &RowKey) -> io::Result<Option<RowValue>> {
    let bytes = store.get(key::family(row), &key::encode(row))?;
    decoded(row, bytes)
}

fn decoded(row: &RowKey, bytes: Option<Vec<u8>>) -> io::Result<Option<RowValue>> {
    let decode = |bytes: Vec<u8>| codec::decode_row(row, bytes.into());
    Ok(bytes.map(decode).transpose()?)
}

/// Every row on disk that memory is made from.
pub(super) fn all_of_memory(
    store: &StateStore,
) -> impl Iterator<Item = io::Result<(RowKey, RowValue)>> + '_ {
    [key::STATE, key::CONTENT, key::HISTORY]
        .into_iter()
        .flat_map(move |family| {
            let mut options = ReadOptions::default();
            // Read once: it should not push out what is read again.
            options.fill_cache(false);
            let mode = IteratorMode::Start;
            store
                .db()
                .iterator_cf_opt(store.family(family), options, mode)
                .map(|item| {
                    let (key, bytes) = item.map_err(io_error)?;
                    let row = key::decode(&key)?;
                    let value = codec::decode_row(&row, bytes.into_vec().into())?;
                    Ok((row, value))
                })
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_row_that_cannot_be_read_is_told_to_the_member_whoever_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = StateStore::open(directory.path(), &key::FAMILIES).unwrap();
        let fatal = Fatal::new();
        let reader = RowReader::new(store.clone(), fatal.clone());
        let row = RowKey::Definition(Digest::default());
        assert_eq!(reader.newest().get(&row).unwrap(), None);
        let told = tokio::time::timeout(Duration::ZERO, fatal.told()).await;
        assert!(told.is_err(), "nothing is wrong: {told:?}");

        let garbage = b"\xff\xff\xff";
        let family = store.family(key::family(&row));
        store
            .db()
            .put_cf(family, key::encode(&row), garbage)
            .unwrap();
        assert!(reader.pinned().definition(Digest::default()).is_err());
        let why = fatal.told().await;
        assert!(why.starts_with("the rows in "), "{why}");
        assert!(why.contains(directory.path().to_str().unwrap()), "{why}");
    }
}
