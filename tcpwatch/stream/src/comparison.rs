//! After a loss: which of the sockets that are known do not exist any more.

use tcpwatch_core::{event::KernelTime, order::WINDOW, track::Census};
use tcpwatch_kernel::{probe::Filters, source::witness::census};

use crate::road::Road;

/// The comparison of the known sockets with those that exist.
#[derive(Default)]
pub(crate) struct Comparison {
    /// What existed, to be compared with once all records before it are applied.
    census: Option<Census>,
    /// When to compare again, because some sockets were too young.
    again_at: Option<KernelTime>,
}

impl Comparison {
    /// When there is something to be done.
    pub(crate) fn due_at(&self) -> Option<KernelTime> {
        let census = self.census.as_ref().map(|census| census.ended().after(WINDOW));
        [census, self.again_at].into_iter().flatten().min()
    }

    pub(crate) fn is_due_again(&self, now: KernelTime) -> bool {
        self.again_at.is_some_and(|at| now >= at)
    }

    /// There is none whose records are still to come.
    pub(crate) const fn is_idle(&self) -> bool {
        self.census.is_none()
    }

    /// Asks the kernel which sockets exist.
    pub(crate) fn begin(&mut self, filters: &Filters) {
        self.again_at = None;
        self.census = census(filters);
    }

    /// Compares, if all records before `now` are applied and that is enough.
    pub(crate) fn finish(&mut self, now: KernelTime, road: &mut Road<'_>) {
        if let Some(census) = self.census.take_if(|census| now >= census.ended().after(WINDOW)) {
            self.again_at = road.tracker.reconcile(&census, |tracked| road.shown.tracked(tracked));
        }
    }
}
