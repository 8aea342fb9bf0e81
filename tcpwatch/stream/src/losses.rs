//! What the kernel side has lost, as of the last time its counters were read.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use tcpwatch_core::{
    event::KernelTime,
    loss::{Cause, LossTotals},
    sink::Loss,
    track::Tracker,
};
use tcpwatch_kernel::{clock, probe::Losses};

use crate::live_recording::LiveRecording;

/// Reads the counters and lets the tracker know of losses.
pub(crate) struct LossWatch {
    counters: Arc<Losses>,
    /// All that was lost by then.
    lost: u64,
    /// What of it is in the recording.
    recorded: BTreeMap<Cause, u64>,
    /// They were read since the ring was.
    is_fresh: bool,
}

impl LossWatch {
    pub(crate) const fn new(counters: Arc<Losses>) -> Self {
        Self { counters, lost: 0, recorded: BTreeMap::new(), is_fresh: false }
    }

    /// Puts what was lost by now before the records that are read next, if there is a recording.
    pub(crate) fn record(
        &mut self,
        tracker: &mut Tracker,
        recording: &mut LiveRecording,
    ) -> Result<()> {
        if !recording.is_made() {
            return Ok(());
        }
        let at = clock::now();
        let lost = self.counters.lost()?;
        self.note(at, &lost, tracker);
        for (cause, total) in lost {
            let recorded = self.recorded.entry(cause).or_default();
            let count = total.saturating_sub(*recorded);
            if count > 0 {
                recording.loss(&Loss { at, cause, count });
                *recorded = total;
            }
        }
        Ok(())
    }

    /// The ring was read: what was lost before is not known any more.
    pub(crate) const fn outdate(&mut self) {
        self.is_fresh = false;
    }

    /// Reads them, unless that was done since the ring was read.
    pub(crate) fn refresh(&mut self, tracker: &mut Tracker) -> Result<()> {
        if !std::mem::replace(&mut self.is_fresh, true) {
            let lost = self.counters.lost()?;
            self.note(clock::now(), &lost, tracker);
        }
        Ok(())
    }

    /// Reads them at `now`.
    pub(crate) fn read(&mut self, now: KernelTime, tracker: &mut Tracker) -> Result<LossTotals> {
        let totals = self.counters.read()?;
        self.note(now, &totals.lost, tracker);
        Ok(totals)
    }

    fn note(&mut self, now: KernelTime, lost: &BTreeMap<Cause, u64>, tracker: &mut Tracker) {
        let lost = lost.values().sum();
        if lost > self.lost {
            tracker.lost(now);
        }
        self.lost = lost;
    }
}
