//! What the kernel side has lost, as of the last time its counters were read.

use std::sync::Arc;

use anyhow::Result;
use tcpwatch_core::{event::KernelTime, loss::LossTotals, track::Tracker};
use tcpwatch_kernel::{clock, probe::Losses};

/// Reads the counters and lets the tracker know of losses.
pub(crate) struct LossWatch {
    counters: Arc<Losses>,
    /// All that was lost by then.
    lost: u64,
    /// They were read since the ring was.
    is_fresh: bool,
}

impl LossWatch {
    pub(crate) const fn new(counters: Arc<Losses>) -> Self {
        Self { counters, lost: 0, is_fresh: false }
    }

    /// The ring was read: what was lost before is not known any more.
    pub(crate) const fn outdate(&mut self) {
        self.is_fresh = false;
    }

    /// Reads them, unless that was done since the ring was read.
    pub(crate) fn refresh(&mut self, tracker: &mut Tracker) -> Result<()> {
        if !std::mem::replace(&mut self.is_fresh, true) {
            self.read(clock::now(), tracker)?;
        }
        Ok(())
    }

    /// Reads them at `now`.
    pub(crate) fn read(&mut self, now: KernelTime, tracker: &mut Tracker) -> Result<LossTotals> {
        let totals = self.counters.read()?;
        let lost = totals.lost.values().sum();
        if lost > self.lost {
            tracker.lost(now);
        }
        self.lost = lost;
        Ok(totals)
    }
}
