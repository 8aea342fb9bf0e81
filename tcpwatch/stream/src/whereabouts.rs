//! Where the owners of sockets run, and whether the plan asks for what runs there.

use std::{collections::HashSet, sync::Arc};

use tcpwatch_core::{
    event::CgroupId,
    place::{CgroupPlace, PlaceFilter, Places},
};
use tcpwatch_kernel::source::containers::AmbiguousContainer;

/// Cgroups that are remembered because their paths were not known at first; from so many on nothing is left out.
const MAX_UNPLACED: usize = 1 << 16;

/// The places of cgroups that records named, and the filter on them.
pub(crate) struct Whereabouts<'a> {
    wanted: &'a PlaceFilter,
    places: Places,
    /// Cgroups of which something was let through because their paths were not known.
    unplaced: HashSet<CgroupId>,
    /// The id of the container that is wanted.
    container: Option<Arc<str>>,
    /// Another one has an id that begins with the same word.
    ambiguous: Option<AmbiguousContainer>,
}

impl<'a> Whereabouts<'a> {
    pub(crate) fn new(wanted: &'a PlaceFilter) -> Self {
        Self {
            wanted,
            places: Places::default(),
            unplaced: HashSet::new(),
            container: None,
            ambiguous: None,
        }
    }

    /// Has this cgroup been looked up, whether or not its path was found?
    pub(crate) fn is_known(&mut self, id: CgroupId) -> bool {
        self.places.is_known(id)
    }

    /// Remembers the place of a cgroup, `None` if its path cannot be found; returns it.
    pub(crate) fn learn(
        &mut self,
        id: CgroupId,
        place: Option<CgroupPlace>,
    ) -> Option<Arc<CgroupPlace>> {
        let place = place.map(Arc::new);
        if let Some(place) = &place {
            self.note_container(place);
        }
        self.places.learn(id, place.clone());
        place
    }

    /// In a recording the beginning of an id may be that of two, and a name that of one after the other. At the start of a live run it was made the
    /// whole id of the only one that existed, or the name of one, with which the id of another may begin.
    fn note_container(&mut self, place: &CgroupPlace) {
        let Some(id) = self.wanted.container_of(place) else { return };
        match &self.container {
            Some(known) if **known != *id => {
                self.ambiguous = Some(AmbiguousContainer {
                    word: self.wanted.container.clone().unwrap_or_default(),
                    containers: vec![known.to_string(), id.to_owned()],
                });
            }
            Some(_) => {}
            None => self.container = Some(id.into()),
        }
    }

    /// Is this where the plan asks for?
    pub(crate) fn is_wanted(&mut self, id: Option<CgroupId>) -> bool {
        if !self.wanted.asks() {
            return true;
        }
        let place = id.and_then(|id| self.places.get(id));
        self.wanted.wants(place.map(AsRef::as_ref))
    }

    /// Are all events of this cgroup's sockets left out? Only if none was let through before its path was found.
    pub(crate) fn is_refused(&mut self, id: CgroupId) -> bool {
        if !self.wanted.asks() {
            return false;
        }
        let has_room = self.unplaced.len() < MAX_UNPLACED;
        if !self.places.is_known(id) && has_room {
            self.unplaced.insert(id);
        }
        let place = self.places.get(id);
        let is_unwanted = place.is_some_and(|place| !self.wanted.wants(Some(place)));
        is_unwanted && has_room && !self.unplaced.contains(&id)
    }

    /// The wanted container turned out to be two, which ends the run.
    pub(crate) const fn is_ambiguous(&self) -> bool {
        self.ambiguous.is_some()
    }

    /// Fails once if the wanted container turned out to be two.
    pub(crate) fn result(&mut self) -> Result<(), AmbiguousContainer> {
        self.ambiguous.take().map_or(Ok(()), Err)
    }
}
