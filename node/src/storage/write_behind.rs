//! Rows on their way to the database: what applied entries changed is kept in memory for some tens of milliseconds, read from
//! there, and written by a thread of its own, many entries at once.
//!
//! `apply` is the one thing of a member that can't be divided; putting rows into RocksDB's memtable was a third of it. Nothing
//! is lost that was not lost before: rows are never synced, and a restart replays the log from the position they carry. Rows
//! and their position go in one batch, in the order of the log. Knows nothing of what rows mean.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rocksdb::WriteBatch;

use super::{
    Database,
    generation::{Generation, Step},
    io_error,
    pinned::Pinned,
    state::{APPLIED, Position},
};
use crate::failpoint::{self, Failpoint};

/// Rows wait at most this long for others to be written with. What is changed again meanwhile is written once.
const DELAY: Duration = Duration::from_millis(100);
/// Bytes that are written at once, and sooner than that.
const ENOUGH_BYTES: usize = 2 << 20;
/// Bytes that may wait. Whoever comes with more waits himself.
const MOST_BYTES: usize = 8 << 20;
/// Generations that may wait: each is one more to look into.
const ENOUGH_GENERATIONS: usize = 8;

/// The way to one database.
pub(super) struct WriteBehind {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    db: Database,
    families: Vec<String>,
    queue: Mutex<Queue>,
    /// There may be something to write.
    work: Condvar,
    /// Something was written, or never will be.
    written: Condvar,
}

struct Queue {
    /// Still added to.
    open: Generation,
    /// When the first row came that waits.
    since: Option<Instant>,
    /// Oldest first; those that are being written stay until they are.
    sealed: VecDeque<Arc<Generation>>,
    sealed_bytes: usize,
    /// Somebody waits until all is written.
    hurry: bool,
    ending: bool,
    /// The database took something no more.
    failed: Option<(io::ErrorKind, String)>,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.open.position.is_none() && self.sealed.is_empty()
    }

    fn seal(&mut self) {
        if self.open.position.is_none() {
            return;
        }
        let next = Generation::new(self.open.rows.len());
        let sealed = std::mem::replace(&mut self.open, next);
        self.sealed_bytes += sealed.bytes;
        self.sealed.push_back(Arc::new(sealed));
    }

    /// What waits is to be written now.
    fn is_due(&self) -> bool {
        self.hurry
            || self.ending
            || self.open.bytes + self.sealed_bytes >= ENOUGH_BYTES
            || self.sealed.len() >= ENOUGH_GENERATIONS
    }

    fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, why)) => Err(io::Error::new(*kind, why.clone())),
            None => Ok(()),
        }
    }
}

impl WriteBehind {
    /// Takes over a database that was opened with these families.
    pub(super) fn new(db: Database, families: &[&str]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            db,
            families: families.iter().map(|name| (*name).to_owned()).collect(),
            queue: Mutex::new(Queue {
                open: Generation::new(families.len()),
                since: None,
                sealed: VecDeque::new(),
                sealed_bytes: 0,
                hurry: false,
                ending: false,
                failed: None,
            }),
            work: Condvar::new(),
            written: Condvar::new(),
        });
        let writer = std::thread::Builder::new()
            .name("row-writer".into())
            .spawn({
                let shared = shared.clone();
                move || shared.run()
            })?;
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }

    pub(super) fn db(&self) -> &Database {
        &self.shared.db
    }

    pub(super) fn family(&self, name: &str) -> &rocksdb::ColumnFamily {
        self.db().cf_handle(name).expect("opened with all families")
    }

    /// The number of a family.
    pub(super) fn number(&self, name: &str) -> usize {
        let families = &self.shared.families;
        let found = families.iter().position(|family| *family == name);
        found.expect("opened with all families")
    }

    /// Takes the steps of some entries, and the position that they bring the rows to. Waits if too much waits already.
    pub(super) fn take(&self, steps: Vec<Step>, position: Position) -> io::Result<()> {
        let mut queue = self.shared.lock();
        queue.check()?;
        let was_due = queue.is_due();
        let first = queue.since.is_none();
        for step in steps {
            queue.open.add(step);
        }
        queue.open.position = Some(position);
        queue.since.get_or_insert_with(Instant::now);
        if first || (!was_due && queue.is_due()) {
            self.shared.work.notify_one();
        }
        while queue.open.bytes + queue.sealed_bytes > MOST_BYTES && queue.failed.is_none() {
            queue = self.shared.wait_for_writer(queue);
        }
        queue.check()
    }

    /// Waits until all that was taken before is in the database.
    pub(super) fn write_all(&self) -> io::Result<()> {
        let mut queue = self.shared.lock();
        queue.seal();
        let Some(last) = queue.sealed.back().cloned() else {
            return queue.check();
        };
        while queue.failed.is_none() && queue.sealed.iter().any(|it| Arc::ptr_eq(it, &last)) {
            queue.hurry = true;
            self.shared.work.notify_one();
            queue = self.shared.wait_for_writer(queue);
        }
        queue.check()
    }

    /// A row's bytes, as the last entry left it.
    pub(super) fn get(&self, family: &str, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let number = self.number(family);
        {
            let queue = self.shared.lock();
            let sealed = queue.sealed.iter().rev().map(|it| &**it);
            let mut newest_first = std::iter::once(&queue.open).chain(sealed);
            if let Some(value) = newest_first.find_map(|it| it.find(number, key)) {
                return Ok(value.map(<[u8]>::to_vec));
            }
        }
        // It is in the database if it is anywhere: what waits no more has been written.
        let found = self.db().get_cf(self.family(family), key);
        found.map_err(io_error)
    }

    /// All rows, as of now.
    pub(super) fn pin(&self) -> Pinned<'_> {
        let mut queue = self.shared.lock();
        queue.seal();
        if queue.is_due() {
            self.shared.work.notify_one();
        }
        Pinned {
            rows: self,
            snapshot: self.db().snapshot(),
            waiting: queue.sealed.iter().cloned().collect(),
        }
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take() {
            // One that has panicked has said so.
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics under it")
    }

    fn wait_for_writer<'q>(&self, queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        self.written.wait(queue).expect("nothing panics under it")
    }

    /// The writer's life.
    fn run(&self) {
        while let Some(sealed) = self.next() {
            let written = catch_unwind(AssertUnwindSafe(|| self.write(&sealed)))
                .unwrap_or_else(|_| Err(io::Error::other("the writer of rows has panicked")));
            let mut queue = self.lock();
            match written {
                Ok(()) => {
                    for generation in &sealed {
                        queue.sealed.pop_front();
                        queue.sealed_bytes -= generation.bytes;
                    }
                }
                Err(error) => queue.failed = Some((error.kind(), error.to_string())),
            }
            self.written.notify_all();
            if queue.failed.is_some() {
                return;
            }
        }
    }

    /// Waits for what is to be written next; `None`: nothing will be.
    fn next(&self) -> Option<Vec<Arc<Generation>>> {
        let mut queue = self.lock();
        loop {
            if queue.is_empty() {
                if queue.ending {
                    return None;
                }
                queue.since = None;
                queue.hurry = false;
                queue = self.work.wait(queue).expect("nothing panics under it");
                continue;
            }
            let waited = queue.since.map_or(DELAY, |since| since.elapsed());
            let Some(left) = DELAY.checked_sub(waited).filter(|_| !queue.is_due()) else {
                break;
            };
            let waited = self.work.wait_timeout(queue, left);
            queue = waited.expect("nothing panics under it").0;
        }
        queue.seal();
        queue.since = None;
        queue.hurry = false;
        Some(queue.sealed.iter().cloned().collect())
    }

    fn write(&self, generations: &[Arc<Generation>]) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        let families: Vec<_> = self
            .families
            .iter()
            .map(|name| self.db.cf_handle(name).expect("opened with all families"))
            .collect();
        for (at, generation) in generations.iter().enumerate() {
            let later = &generations[at + 1..];
            for (family, keys) in &generation.removed {
                batch.delete_range_cf(families[*family], &keys.start, &keys.end);
            }
            for (number, rows) in generation.rows.iter().enumerate() {
                for (key, value) in rows {
                    if later.iter().any(|it| it.rows[number].contains_key(key)) {
                        continue;
                    }
                    match value {
                        Some(value) => batch.put_cf(families[number], key, value),
                        None => batch.delete_cf(families[number], key),
                    }
                }
            }
        }
        let position = generations.iter().rev().find_map(|it| it.position.as_ref());
        if let Some(position) = position {
            batch.put(APPLIED, position.encode());
        }
        self.db.write_without_wal(batch).map_err(io_error)?;
        failpoint::pass(Failpoint::RowsWritten);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        replica::types::{LeadershipId, LogId},
        storage::state::StateStore,
    };

    const FAMILIES: [&str; 2] = ["one", "two"];

    type Rows = [BTreeMap<Vec<u8>, Vec<u8>>; 2];

    fn position(index: u64) -> Position {
        let leader = LeadershipId {
            term: 1,
            node_id: 1,
        };
        Position {
            last: Some(LogId::new(leader, index)),
            ..Position::default()
        }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..3u8, 1..4)
    }

    #[derive(Clone, Debug)]
    enum Change {
        Put(usize, Vec<u8>, u8),
        Remove(usize, Vec<u8>),
        RemoveRange(usize, Vec<u8>, Vec<u8>),
    }

    #[derive(Clone, Debug)]
    enum Act {
        Take(Vec<Change>),
        WriteAll,
        Pin,
        /// What is pinned is read, and let go.
        ReadPinned,
        Read(usize, Vec<u8>, Vec<u8>),
        Reopen,
    }

    fn change() -> impl Strategy<Value = Change> {
        let family = 0..2usize;
        prop_oneof![
            5 => (family.clone(), key(), any::<u8>()).prop_map(|(f, k, v)| Change::Put(f, k, v)),
            2 => (family.clone(), key()).prop_map(|(f, k)| Change::Remove(f, k)),
            1 => (family, key(), key()).prop_map(|(f, a, b)| {
                Change::RemoveRange(f, a.clone().min(b.clone()), a.max(b))
            }),
        ]
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => prop::collection::vec(change(), 0..6).prop_map(Act::Take),
            1 => Just(Act::WriteAll),
            2 => Just(Act::Pin),
            2 => Just(Act::ReadPinned),
            3 => (0..2usize, key(), key()).prop_map(|(f, a, b)| Act::Read(f, a, b)),
            1 => Just(Act::Reopen),
        ]
    }

    fn carry_out(changes: &[Change], store: &StateStore, rows: &mut Rows, index: u64) {
        let mut batch = store.batch();
        for change in changes.iter().cloned() {
            match change {
                Change::Put(family, key, value) => {
                    batch.put(FAMILIES[family], key.clone(), vec![value].into());
                    rows[family].insert(key, vec![value]);
                }
                Change::Remove(family, key) => {
                    rows[family].remove(&key);
                    batch.delete(FAMILIES[family], key);
                }
                Change::RemoveRange(family, from, to) => {
                    rows[family].retain(|key, _| !(from <= *key && *key < to));
                    batch.delete_range(FAMILIES[family], from, to);
                }
            }
        }
        batch.write(&position(index)).unwrap();
    }

    fn found(
        pinned: &Pinned<'_>,
        family: usize,
        from: &[u8],
        to: &[u8],
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = pinned.rows(FAMILIES[family], from, to.to_vec());
        let rows = rows.map(|row| row.map(|(key, value)| (key.into_vec(), value)));
        rows.collect::<io::Result<_>>().unwrap()
    }

    fn expected(rows: &Rows, family: usize, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let within = |key: &[u8]| from <= key && (to.is_empty() || key < to);
        let rows = rows[family].iter().filter(|(key, _)| within(key));
        rows.map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_taken_is_read_as_if_it_were_written(acts in prop::collection::vec(act(), 1..40)) {
            let directory = tempfile::tempdir().unwrap();
            let mut index = 0;
            let mut rows = Rows::default();
            let mut acts = acts.into_iter().peekable();
            while acts.peek().is_some() {
                let store = StateStore::open(directory.path(), &FAMILIES).unwrap();
                prop_assert_eq!(store.position().unwrap().index(), index, "it says where it stands");
                let mut pinned = Vec::new();
                for act in acts.by_ref() {
                    match act {
                        Act::Take(changes) => {
                            index += 1;
                            carry_out(&changes, &store, &mut rows, index);
                        }
                        Act::WriteAll => {
                            let checkpoint = directory.path().with_extension(index.to_string());
                            store.checkpoint_to(&checkpoint).unwrap();
                            std::fs::remove_dir_all(&checkpoint).unwrap();
                            prop_assert_eq!(store.position().unwrap().index(), index);
                        }
                        Act::Pin => pinned.push((store.pin(), rows.clone())),
                        Act::ReadPinned => {
                            let Some((pinned, rows)) = pinned.pop() else { continue };
                            for (family, name) in FAMILIES.iter().enumerate() {
                                let all = expected(&rows, family, b"", b"");
                                for (key, value) in &all {
                                    let found = pinned.get(name, key).unwrap();
                                    prop_assert_eq!(found.as_ref(), Some(value));
                                }
                                prop_assert_eq!(found(&pinned, family, b"", b""), all);
                            }
                        }
                        Act::Read(family, from, to) => {
                            let value = store.get(FAMILIES[family], &from).unwrap();
                            prop_assert_eq!(value.as_ref(), rows[family].get(&from));
                            let all = expected(&rows, family, &from, &to);
                            prop_assert_eq!(found(&store.pin(), family, &from, &to), all);
                        }
                        Act::Reopen => break,
                    }
                }
            }
        }
    }

    #[test]
    fn more_than_may_wait_is_waited_for_and_all_of_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = StateStore::open(directory.path(), &FAMILIES).unwrap();
        let large = Bytes::from(vec![7; MOST_BYTES / 4]);
        for index in 1..=40u64 {
            let mut batch = store.batch();
            batch.put(FAMILIES[0], index.to_be_bytes().into(), large.clone());
            batch.write(&position(index)).unwrap();
            let queue = store.rows().shared.lock();
            assert!(queue.open.bytes + queue.sealed_bytes <= MOST_BYTES);
        }
        assert_eq!(found(&store.pin(), 0, b"", b"").len(), 40);
        drop(store);
        let store = StateStore::open(directory.path(), &FAMILIES).unwrap();
        assert_eq!(store.position().unwrap().index(), 40);
        assert_eq!(found(&store.pin(), 0, b"", b"").len(), 40);
    }

    #[test]
    fn what_the_database_refuses_is_told_to_whoever_comes_next() {
        let directory = tempfile::tempdir().unwrap();
        let store = StateStore::open(directory.path(), &FAMILIES).unwrap();
        let mut queue = store.rows().shared.lock();
        queue.failed = Some((io::ErrorKind::StorageFull, "no space".into()));
        drop(queue);
        let error = store.batch().write(&position(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(
            store
                .checkpoint_to(&directory.path().join("checkpoint"))
                .is_err()
        );
    }
}
