//! Assigns a bounded number of series to label values: first come, first served, for as long as the value exists, so
//! that no series comes and goes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The label of everything that has no series of its own.
pub(crate) const OTHER: &str = "other";

/// The number of label values without a series of their own.
pub(crate) type Overflow = Arc<AtomicU64>;

/// A bounded number of slots for label values.
#[derive(Debug)]
pub(crate) struct SeriesSlots<K> {
    most: usize,
    admitted: BTreeSet<K>,
    refused: BTreeSet<K>,
    overflow: Overflow,
}

impl<K: Ord + Clone> SeriesSlots<K> {
    pub(crate) fn new(most: usize, overflow: Overflow) -> Self {
        Self { most, admitted: BTreeSet::new(), refused: BTreeSet::new(), overflow }
    }

    /// Frees the slots of values that no longer exist, and gives free ones to those that are `present`, the most
    /// important first. A value that gets none is counted once.
    pub(crate) fn settle(
        &mut self,
        present: impl IntoIterator<Item = K>,
        exists: impl Fn(&K) -> bool,
    ) {
        self.admitted.retain(exists);
        let mut refused = BTreeSet::new();
        for key in present {
            if self.admitted.contains(&key) {
                continue;
            }
            if self.admitted.len() < self.most {
                self.admitted.insert(key);
                continue;
            }
            if !self.refused.contains(&key) && !refused.contains(&key) {
                self.overflow.fetch_add(1, Ordering::Relaxed);
            }
            refused.insert(key);
        }
        self.refused = refused;
    }

    pub(crate) fn admitted(&self) -> impl Iterator<Item = &K> {
        self.admitted.iter()
    }

    pub(crate) fn admits(&self, key: &K) -> bool {
        self.admitted.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(slots: &mut SeriesSlots<u8>, present: &[u8], existing: &[u8]) -> (Vec<u8>, u64) {
        slots.settle(present.iter().copied(), |key| existing.contains(key));
        (slots.admitted().copied().collect(), slots.overflow.load(Ordering::Relaxed))
    }

    #[test]
    fn a_seat_is_kept_while_its_holder_exists_and_the_refused_are_counted_once() {
        let mut slots = SeriesSlots::new(2, Overflow::default());
        assert_eq!(settled(&mut slots, &[3, 1, 2], &[1, 2, 3]), (vec![1, 3], 1), "first come");
        assert_eq!(settled(&mut slots, &[2, 1], &[1, 2, 3]), (vec![1, 3], 1), "absent, not gone");
        assert_eq!(settled(&mut slots, &[4, 2, 2], &[1, 2, 3, 4]), (vec![1, 3], 2), "4 is new");
        assert_eq!(settled(&mut slots, &[4, 2], &[1, 2, 4]), (vec![1, 4], 2), "3 has gone");
        assert!(slots.admits(&4) && !slots.admits(&2));
    }
}
