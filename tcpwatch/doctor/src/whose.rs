//! Whose connections a finding is about.

use std::{fmt, sync::Arc};

use tcpwatch_core::{
    event::{CgroupId, Netns, Process, process::Comm},
    place::CgroupPlace,
    track::Subject,
};

/// The owner of connections, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Network namespace.
    pub netns: Netns,
    /// The process; of several that have one name and cgroup, the last that was seen.
    pub process: Option<Process>,
    /// The process is that of the listener that accepted the connections: a guess.
    pub inherited: bool,
    /// The cgroup's place, if it is known.
    pub place: Option<Arc<CgroupPlace>>,
    /// How many processes.
    pub processes: u32,
}

impl Whose {
    /// Nobody is known.
    #[must_use]
    pub const fn unknown(netns: Netns) -> Self {
        Self { netns, process: None, inherited: false, place: None, processes: 0 }
    }
}

/// What is outside's choice must not reach a terminal raw.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl fmt::Display for Whose {
    /// `shop (java 812)`, `java 812`, `nginx (4 processes)`, `an unknown process`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.process.map(|process| match (self.processes, process.pid) {
            (0 | 1, Some(pid)) => format!("{} {pid}", process.comm),
            (0 | 1, None) => process.comm.to_string(),
            (many, _) => format!("{}, {many} processes", process.comm),
        });
        let place = self.place.as_ref();
        let container = place.and_then(|place| place.container.as_ref());
        let container =
            container.map(|container| format!("container {}", clean(container.short())));
        let unit = place.and_then(|place| place.unit_name());
        let place = container.or_else(|| unit.map(clean));
        match (place, process) {
            (Some(place), Some(process)) => write!(f, "{place} ({process})"),
            (Some(only), None) | (None, Some(only)) => f.write_str(&only),
            (None, None) => f.write_str("an unknown process"),
        }
    }
}

/// What connections have in common that are one owner's: the same name in the same cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnerKey {
    pub(crate) netns: Netns,
    pub(crate) cgroup: Option<CgroupId>,
    pub(crate) comm: Option<Comm>,
}

impl OwnerKey {
    pub(crate) fn of(subject: &Subject) -> Self {
        Self {
            netns: subject.netns,
            cgroup: subject.cgroup,
            comm: subject.process.map(|process| process.comm),
        }
    }
}
