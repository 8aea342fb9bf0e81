//! Takes tracked events and losses: one implementation per form of output.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    event::{CgroupId, KernelTime, WallClock},
    loss::Cause,
    place::CgroupPlace,
    track::TrackedEvent,
};

/// A form of output. Everything is appended to `out`; the pipeline writes it.
pub trait Sink {
    /// Writes a tracked event.
    fn tracked(&mut self, tracked: &TrackedEvent, clock: &WallClock, out: &mut Vec<u8>);
    /// Where a cgroup is, of which lines will come. Without a word a form of output does not show it.
    fn place(&mut self, _id: CgroupId, _place: &Arc<CgroupPlace>) {}
    /// Something was lost since the last line of this kind.
    fn loss(&mut self, loss: &Loss, clock: &WallClock, out: &mut Vec<u8>);
    /// Totals at the end.
    fn summary(&mut self, summary: &Summary, clock: &WallClock, out: &mut Vec<u8>);
}

/// Something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was noticed.
    pub at: KernelTime,
    /// Why.
    pub cause: Cause,
    /// How much since the last line with this cause.
    pub count: u64,
}

/// Totals of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// When the run ended.
    pub at: KernelTime,
    /// Length of the run.
    pub ran: Duration,
    /// Changes printed.
    pub changes: u64,
    /// Of these, the lines that are marked as inferred.
    pub inferred: u64,
    /// Records the kernel side wanted to emit.
    pub attempted: u64,
    /// Records that arrived.
    pub received: u64,
    /// Losses by cause.
    pub lost: BTreeMap<Cause, u64>,
    /// Records that came too late to be put in order.
    pub out_of_order: u64,
    /// Connections seen.
    pub connections: u64,
    /// Of these, still open.
    pub open: u64,
}

impl Summary {
    /// Runs of a program that the kernel skipped.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.lost.get(&Cause::Recursion).copied().unwrap_or(0)
    }

    /// Everything else that was lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.values().sum::<u64>() - self.missed()
    }
}
