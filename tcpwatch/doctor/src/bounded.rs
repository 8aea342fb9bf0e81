//! Tables with a limit: what is known stays up to date when there is no room for more.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash},
};

/// A table whose entries are counted.
pub(crate) trait Bounded<K> {
    /// Whether there is an entry for `key`, or room for one, with `most` entries at most.
    fn has_room(&self, key: &K, most: usize) -> bool;
}

impl<K: Eq + Hash, V, S: BuildHasher> Bounded<K> for HashMap<K, V, S> {
    fn has_room(&self, key: &K, most: usize) -> bool {
        self.len() < most || self.contains_key(key)
    }
}

impl<K: Ord, V> Bounded<K> for BTreeMap<K, V> {
    fn has_room(&self, key: &K, most: usize) -> bool {
        self.len() < most || self.contains_key(key)
    }
}
