//! Which cgroups have series of their own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::Instant,
};

use super::Names;
use crate::gauges::slots::{Overflow, SeriesSlots};

/// The label of sockets without a known cgroup.
pub(crate) const UNKNOWN: &str = "unknown";
/// The label of all cgroups that have no series of their own.
pub(crate) const OTHER: &str = "other";

/// Labels for cgroups.
#[derive(Debug)]
pub struct CgroupLabels {
    names: Names,
    slots: SeriesSlots<Arc<str>>,
    known: HashMap<u32, Arc<str>>,
}

impl CgroupLabels {
    /// At most `most` have series of their own.
    pub(crate) fn new(names: Names, most: usize, overflow: Overflow) -> Self {
        Self { names, slots: SeriesSlots::new(most, overflow), known: HashMap::new() }
    }

    /// Gives free series to the busiest of these cgroups, whose numbers come with how busy they are.
    pub(crate) fn settle(&mut self, busy: &BTreeMap<u32, i64>, now: Instant) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.learn(busy.keys().filter(|id| **id != 0).map(|id| u64::from(*id)), now);
        let name = |id: &u32| Some((*id, Arc::clone(names.name((*id).into())?)));
        self.known = busy.keys().filter_map(name).collect();
        let mut sizes: BTreeMap<&Arc<str>, i64> = BTreeMap::new();
        for (id, size) in busy {
            if let Some(name) = self.known.get(id) {
                *sizes.entry(name).or_default() += size;
            }
        }
        let mut present: Vec<_> = sizes.into_iter().collect();
        present.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let present = present.into_iter().map(|(name, _)| Arc::clone(name));
        self.slots.settle(present, |name| names.exists(name));
    }

    /// Gives free series to these cgroups as far as they are new.
    pub(crate) fn admit(&mut self, ids: impl Iterator<Item = u32>, now: Instant) {
        let is_new = |id: &u32| *id != 0 && !self.known.contains_key(id);
        let new: BTreeSet<u32> = ids.filter(is_new).collect();
        if new.is_empty() {
            return;
        }
        let known = self.known.keys().copied().chain(new);
        self.settle(&known.map(|id| (id, 1)).collect(), now);
    }

    /// The label of a cgroup.
    pub(crate) fn label(&self, id: u32) -> &str {
        match self.known.get(&id) {
            None => UNKNOWN,
            Some(name) if self.slots.admits(name) => name,
            Some(_) => OTHER,
        }
    }

    /// All labels that there are.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.slots.admitted().map(|name| &**name).chain([UNKNOWN, OTHER])
    }
}
