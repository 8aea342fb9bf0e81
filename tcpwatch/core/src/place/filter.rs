//! Filters that ask where the owner of a socket runs.

use super::CgroupPlace;

/// All that are set must hold. A socket whose place is not known passes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceFilter {
    /// This cgroup and those below it: a path from the root of the hierarchy.
    pub cgroup: Option<Vec<u8>>,
    /// This systemd unit; without a type a service.
    pub unit: Option<String>,
    /// A container by its id, or by what its id begins with.
    pub container: Option<String>,
    /// The name of a container will do as well: of a recording, where nothing tells which id has it.
    pub by_name: bool,
}

impl PlaceFilter {
    /// Does it ask anything?
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.cgroup.is_some() || self.unit.is_some() || self.container.is_some()
    }

    /// Is this place wanted?
    #[must_use]
    pub fn wants(&self, place: Option<&CgroupPlace>) -> bool {
        let Some(place) = place else { return !self.asks() };
        self.cgroup.as_ref().is_none_or(|above| place.is_in(above))
            && self.unit.as_ref().is_none_or(|unit| is_unit(place, unit))
            && (self.container.is_none() || self.container_of(place).is_some())
    }

    /// The id of the place's container, if it is the wanted one.
    #[must_use]
    pub fn container_of<'p>(&self, place: &'p CgroupPlace) -> Option<&'p str> {
        let wanted = self.container.as_deref()?;
        let container = place.container.as_ref()?;
        let is_it = *container.id == *wanted
            || super::container::is_id(&container.id) && container.id.starts_with(wanted)
            || self.by_name && container.name.as_deref() == Some(wanted);
        is_it.then_some(&*container.id)
    }
}

fn is_unit(place: &CgroupPlace, wanted: &str) -> bool {
    place.unit.as_deref().is_some_and(|unit| {
        unit == wanted || unit.strip_suffix(".service").is_some_and(|stem| stem == wanted)
    })
}
