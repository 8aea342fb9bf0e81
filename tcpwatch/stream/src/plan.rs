//! What one run is to do.

use std::time::Duration;

use tcpwatch_common::config::RING_BYTES;
use tcpwatch_core::{event::KernelTime, place::PlaceFilter, track::TrackedEvent};
use tcpwatch_kernel::{
    probe::{Counting, Filters},
    source::recorder::RecordingTarget,
};

/// What to do, as the command line meant it.
pub struct Plan {
    /// What runs in the kernel.
    pub filters: Filters,
    /// What the kernel cannot decide: whose socket, and which of the changes that pass for
    /// tracking's sake are to be seen.
    pub selection: Box<dyn Fn(&TrackedEvent) -> bool>,
    /// Where the owners of wanted sockets run. Cgroups come and go, and what is below one is known by its path
    /// only: this is asked when a cgroup is met, which the kernel side leaves out then (`Filters::by_cgroup`).
    pub places: PlaceFilter,
    /// Size of the ring.
    pub ring_bytes: u32,
    /// What is counted besides, whatever the filters say.
    pub counting: Counting,
    /// End after this long.
    pub duration: Option<Duration>,
    /// End after this many events.
    pub count: Option<u64>,
    /// The file that takes a copy of everything that comes from the kernel.
    pub record: Option<RecordingTarget>,
    /// Of a recording only what happened in this span, both ends included.
    pub span: Option<(KernelTime, KernelTime)>,
    /// Begin with the sockets that exist and are to be seen.
    pub existing: bool,
    /// Ask the kernel for what sockets wait that stay in a state.
    pub waits: bool,
    /// At the end, show the lives of connections that are over but for TIME_WAIT.
    pub unfinished: bool,
}

impl Plan {
    /// Everything that passes these filters, from now until a signal, and nothing besides.
    #[must_use]
    pub fn of(filters: Filters) -> Self {
        Self {
            filters,
            selection: Box::new(|_| true),
            places: PlaceFilter::default(),
            ring_bytes: RING_BYTES,
            counting: Counting::Off,
            duration: None,
            count: None,
            record: None,
            span: None,
            existing: false,
            waits: false,
            unfinished: false,
        }
    }
}
