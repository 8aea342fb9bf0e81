//! The places of cgroups, by number.

use std::{collections::HashMap, mem, sync::Arc};

use rustc_hash::FxBuildHasher;

use super::CgroupPlace;
use crate::event::CgroupId;

/// Of so many cgroups that were met last, all are remembered; of twice as many some.
pub const KEPT: usize = 8192;

/// What is known of cgroups, those included that have been removed: what was asked for last is kept.
///
/// Memory: 16,384 entries of some 300 bytes at most.
#[derive(Clone, Debug, Default)]
pub struct Places {
    young: HashMap<CgroupId, Option<Arc<CgroupPlace>>, FxBuildHasher>,
    old: HashMap<CgroupId, Option<Arc<CgroupPlace>>, FxBuildHasher>,
}

impl Places {
    /// Remembers a place; `None` if the cgroup's path could not be found.
    pub fn learn(&mut self, id: CgroupId, place: Option<Arc<CgroupPlace>>) {
        if self.young.len() >= KEPT && !self.young.contains_key(&id) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(id, place);
    }

    /// Has this cgroup been looked up, whether or not its path was found?
    pub fn is_known(&mut self, id: CgroupId) -> bool {
        self.refresh(id);
        self.young.contains_key(&id)
    }

    /// The place of a cgroup, if it is known.
    pub fn get(&mut self, id: CgroupId) -> Option<&Arc<CgroupPlace>> {
        self.refresh(id);
        self.young.get(&id)?.as_ref()
    }

    /// What is asked for is not forgotten before what is not.
    fn refresh(&mut self, id: CgroupId) {
        if !self.young.contains_key(&id)
            && let Some(place) = self.old.remove(&id)
        {
            self.learn(id, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> CgroupId {
        CgroupId::from_low(number).unwrap()
    }

    #[test]
    fn ten_thousand_cgroups_that_come_and_go_stay_bounded_and_one_in_use_is_kept() {
        let mut places = Places::default();
        let place = |path: &str| Some(Arc::new(CgroupPlace::of(path.as_bytes())));
        places.learn(id(1), place("/system.slice/nginx.service"));
        places.learn(id(2), place("/system.slice/idle.service"));
        for number in 10..40_010 {
            places.learn(id(number), place("/short"));
            assert!(places.get(id(1)).is_some(), "{number}");
        }
        assert!(places.young.len() + places.old.len() <= 2 * KEPT);
        assert!(!places.is_known(id(2)), "it makes room");
    }

    #[test]
    fn a_cgroup_whose_path_was_not_found_is_not_looked_for_again() {
        let mut places = Places::default();
        assert!(!places.is_known(id(1)));
        places.learn(id(1), None);
        assert!(places.is_known(id(1)));
        assert_eq!(places.get(id(1)), None);
    }
}
