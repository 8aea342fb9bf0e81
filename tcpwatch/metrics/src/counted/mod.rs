//! What is counted in the kernel: a scrape reads maps, whatever the number of sockets. What has to look at sockets is done
//! beside the scrapes: entering those from before the start, finding what was missed, and the ages of those that stay.

mod aged;
mod by_cgroup;
mod chores;
mod drift;
mod labels;
mod ledger;
mod rows;
mod states;
mod tally;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Result;
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    probe::{Books, Counts, Losses},
    source::{cgroups::CgroupNames, snapshot::SnapshotScope},
};

use self::{chores::SocketChores, labels::CgroupLabels, ledger::Ledger, tally::LabelTally};
use crate::{
    background::Chore, collector::Collector, family::ScrapeFamily, gauges::slots::Overflow, kernel,
};

/// The label of sockets without a known cgroup.
const UNKNOWN: &str = "unknown";

/// What is counted of all network namespaces, or of one.
pub struct CountedSockets {
    shared: Arc<Mutex<CountedState>>,
    netns: Option<Netns>,
}

/// What scrapes and chores share.
struct CountedState {
    tally: LabelTally,
    ledger: Ledger,
}

/// Which cgroups have series of their own.
#[derive(Debug)]
pub struct CgroupSeries {
    /// The names of cgroups.
    pub names: Arc<Mutex<CgroupNames>>,
    /// So many at most.
    pub most: usize,
    /// Counts those that get none.
    pub overflow: Overflow,
}

impl CountedSockets {
    /// The collector, and what is to be done in the background.
    pub(crate) fn new(
        counts: Counts,
        books: Books,
        netns: Option<Netns>,
        losses: Arc<Losses>,
        series: CgroupSeries,
    ) -> (Self, Vec<Chore>) {
        let scope = netns.map_or(SnapshotScope::Every, SnapshotScope::Only);
        let labels = CgroupLabels::new(series);
        let shared = CountedState {
            tally: LabelTally::new(counts, labels),
            ledger: Ledger::new(books.marks.room),
        };
        let shared = Arc::new(Mutex::new(shared));
        let chores = SocketChores::of(&shared, books, scope, losses);
        (Self { shared, netns }, chores)
    }
}

impl CountedState {
    fn lock(of: &Mutex<Self>) -> MutexGuard<'_, Self> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for CountedSockets {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let mut shared = CountedState::lock(&self.shared);
        let CountedState { tally, ledger } = &mut *shared;
        tally.update(Instant::now())?;
        let covers = kernel::covers(self.netns);
        families.extend(kernel::families(tally.counted(), tally.room(), &covers));
        families.extend(by_cgroup::families(tally, &covers));
        ledger.collect(tally, &covers, families)
    }
}
