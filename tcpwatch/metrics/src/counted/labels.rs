//! Which cgroups have series of their own, and under which label.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tcpwatch_core::place::CgroupPlace;
use tcpwatch_kernel::source::cgroups::CgroupNames;

use super::{CgroupSeries, UNKNOWN};
use crate::gauges::slots::{OTHER, SeriesSlots};

/// Labels for cgroups.
#[derive(Debug)]
pub(super) struct CgroupLabels {
    names: Arc<Mutex<CgroupNames>>,
    slots: SeriesSlots<Arc<str>>,
    known: HashMap<u32, Arc<str>>,
    unknown: Arc<str>,
    other: Arc<str>,
}

impl CgroupLabels {
    pub(super) fn new(series: CgroupSeries) -> Self {
        let CgroupSeries { names, most, overflow } = series;
        Self {
            names,
            slots: SeriesSlots::new(most, overflow),
            known: HashMap::new(),
            unknown: UNKNOWN.into(),
            other: OTHER.into(),
        }
    }

    /// Gives free series to the busiest of these cgroups, whose numbers come with how busy they are.
    pub(super) fn settle(&mut self, busy: &BTreeMap<u32, i64>, now: Instant) {
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

    /// Looks again which cgroups exist, if it is time.
    pub(super) fn look(&self, now: Instant) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).learn([], now);
    }

    /// Is there no directory of this cgroup?
    pub(super) fn is_gone(&self, id: u32) -> bool {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        id != 0 && names.name(id.into()).is_none()
    }

    /// The label of a cgroup.
    pub(super) fn label(&self, id: u32) -> &Arc<str> {
        match self.known.get(&id) {
            None => &self.unknown,
            Some(name) if self.slots.admits(name) => name,
            Some(_) => &self.other,
        }
    }

    /// All labels that there are.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<str>> {
        self.slots.admitted().chain([&self.unknown, &self.other])
    }

    /// Where the cgroups run that have series of their own.
    pub(super) fn places(&self) -> Vec<(Arc<str>, CgroupPlace)> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |name: &Arc<str>| {
            Some((
                Arc::clone(name),
                CgroupPlace::of(names.path(name)?.as_os_str().as_encoded_bytes()),
            ))
        };
        self.slots.admitted().filter_map(place).collect()
    }
}
