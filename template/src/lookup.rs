//! Hash tables for lookup only: it has no iteration, so no order that depends on hashing gets out. The one
//! place of this crate that knows hashing.

use std::borrow::Borrow;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::Hash;

/// Values by key.
#[derive(Debug)]
pub(crate) struct LookupTable<K, V>(HashMap<K, V>);

impl<K: Eq + Hash, V> LookupTable<K, V> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(HashMap::with_capacity(capacity))
    }

    /// Whether the key is new. The value of one that is not stays.
    pub(crate) fn insert_new(&mut self, key: K, value: V) -> bool {
        match self.0.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                true
            }
        }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }
}

impl<K: Eq + Hash, V> FromIterator<(K, V)> for LookupTable<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(HashMap::from_iter(pairs))
    }
}
