//! A map from ids that are given out one after the other, and never again, to what they name. What is near in id is near
//! in memory, and a look-up passes over few of its nodes. Knows nothing of what it holds.

use crate::id::{InstanceId, ResourceId};
use std::collections::BTreeMap;

/// Bytes of one page, at most: allocators waste nothing of this size. A page whose last id is gone goes too.
const PAGE_BYTES: usize = 16 << 10;

/// An id that is given out in order.
pub(crate) trait Key: Copy {
    fn number(self) -> u64;
    fn of(number: u64) -> Self;
}

impl Key for ResourceId {
    fn number(self) -> u64 {
        self.0
    }

    fn of(number: u64) -> Self {
        ResourceId(number)
    }
}

impl Key for InstanceId {
    fn number(self) -> u64 {
        self.0
    }

    fn of(number: u64) -> Self {
        InstanceId(number)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    pages: BTreeMap<u64, Page<V>>,
    ids: std::marker::PhantomData<K>,
}

#[derive(Clone, Debug)]
struct Page<V> {
    slots: Box<[Option<V>]>,
    used: usize,
}

impl<V> Page<V> {
    /// Ids of one page.
    const IDS: usize = PAGE_BYTES / size_of::<Option<V>>();

    fn new() -> Page<V> {
        const { assert!(Self::IDS > 0, "a page holds at least one") }
        Page {
            slots: std::iter::repeat_with(|| None).take(Self::IDS).collect(),
            used: 0,
        }
    }

    /// Where an id is: its page, and its place within.
    fn place<K: Key>(id: K) -> (u64, usize) {
        let (number, ids) = (id.number(), Self::IDS as u64);
        (number / ids, (number % ids) as usize)
    }

    fn id_at<K: Key>(page: u64, slot: usize) -> K {
        K::of(page * Self::IDS as u64 + slot as u64)
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table {
            pages: BTreeMap::new(),
            ids: std::marker::PhantomData,
        }
    }
}

impl<K: Key, V> Table<K, V> {
    pub(crate) fn get(&self, id: &K) -> Option<&V> {
        let (page, slot) = Page::<V>::place(*id);
        self.pages.get(&page)?.slots[slot].as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: &K) -> Option<&mut V> {
        let (page, slot) = Page::<V>::place(*id);
        self.pages.get_mut(&page)?.slots[slot].as_mut()
    }

    pub(crate) fn contains_key(&self, id: &K) -> bool {
        self.get(id).is_some()
    }

    /// Puts it in; what was there before.
    pub(crate) fn insert(&mut self, id: K, value: V) -> Option<V> {
        let (page, slot) = Page::<V>::place(id);
        let page = self.pages.entry(page).or_insert_with(Page::new);
        let before = page.slots[slot].replace(value);
        page.used += usize::from(before.is_none());
        before
    }

    pub(crate) fn remove(&mut self, id: &K) -> Option<V> {
        let (number, slot) = Page::<V>::place(*id);
        let page = self.pages.get_mut(&number)?;
        let before = page.slots[slot].take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
        }
        Some(before)
    }

    /// In the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.pages.iter().flat_map(|(page, content)| {
            let slots = content.slots.iter().enumerate();
            slots.filter_map(|(slot, value)| Some((Page::<V>::id_at(*page, slot), value.as_ref()?)))
        })
    }

    /// In the order of ids.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.pages.iter_mut().flat_map(|(page, content)| {
            let slots = content.slots.iter_mut().enumerate();
            slots.filter_map(|(slot, value)| Some((Page::<V>::id_at(*page, slot), value.as_mut()?)))
        })
    }

    /// In order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// So large that a page has few of them.
    type Wide = [u8; 255];

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, Wide),
        Remove(u64),
        Change(u64, Wide),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Four pages, and one far away.
        let id = prop_oneof![0..200u64, (1u64 << 40)..(1u64 << 40) + 3];
        (id, any::<u8>(), 0..3u8).prop_map(|(id, value, kind)| match kind {
            0 => Step::Insert(id, [value; 255]),
            1 => Step::Remove(id),
            _ => Step::Change(id, [value; 255]),
        })
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec(step(), 0..300)) {
            let mut table = Table::<ResourceId, Wide>::default();
            let mut map = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(id, value) => {
                        let before = table.insert(ResourceId(id), value);
                        prop_assert_eq!(before, map.insert(ResourceId(id), value));
                    }
                    Step::Remove(id) => {
                        let before = table.remove(&ResourceId(id));
                        prop_assert_eq!(before, map.remove(&ResourceId(id)));
                    }
                    Step::Change(id, value) => {
                        let there = table.get_mut(&ResourceId(id)).map(|it| *it = value);
                        let expected = map.get_mut(&ResourceId(id)).map(|it| *it = value);
                        prop_assert_eq!(there, expected);
                    }
                }
            }
            let all: Vec<_> = table.iter().map(|(id, value)| (id, *value)).collect();
            let expected: Vec<_> = map.iter().map(|(id, value)| (*id, *value)).collect();
            prop_assert_eq!(&all, &expected);
            let all: Vec<_> = table.iter_mut().map(|(id, value)| (id, *value)).collect();
            prop_assert_eq!(&all, &expected);
            prop_assert!(table.keys().eq(map.keys().copied()));
            prop_assert!(map.keys().all(|id| table.contains_key(id)));
            let pages: std::collections::BTreeSet<u64> =
                map.keys().map(|id| Page::<Wide>::place(*id).0).collect();
            prop_assert!(table.pages.keys().eq(&pages), "an empty page is kept");
        }
    }
}
