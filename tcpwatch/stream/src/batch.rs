//! What a run yields.

use std::sync::Arc;

use tcpwatch_core::{
    event::{CgroupId, WallClock},
    facts::HostFacts,
    place::CgroupPlace,
    sink::{Loss, Summary},
    track::TrackedEvent,
};

use crate::{plan::Plan, whereabouts::Whereabouts};

/// Items after which a batch is handed out though there are more: as much as stays in a processor's cache.
const FULL: usize = 256;

/// Something that a run yields.
#[derive(Clone, Debug)]
pub enum Item {
    /// What happened to a socket, if [`Plan::selection`] and [`Plan::places`] let it pass.
    TrackedEvent(TrackedEvent),
    /// Where a cgroup is, whatever the plan asks for: before what happens to its sockets, if its path is found
    /// by then, and again if it was forgotten meanwhile.
    Place(CgroupId, Arc<CgroupPlace>),
    /// Records were lost.
    Loss(Loss),
    /// Totals; the last item of a run.
    Summary(Summary),
}

/// Items in the order in which they became known.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// At least one, or else there are facts.
    pub items: &'a [Item],
    /// Looks at the kernel, later than these items, that were recorded, or handed to [`Live::note_facts`](crate::pipeline::Live::note_facts).
    pub facts: &'a [HostFacts],
    /// For times of the kernel's clock in these items.
    pub clock: &'a WallClock,
    /// The next batch can be had without waiting for the kernel.
    pub more: bool,
}

/// Collects the items of a batch. Its memory is used again for the next one.
pub(crate) struct BatchBuilder<'a> {
    plan: &'a Plan,
    pub(crate) clock: WallClock,
    pub(crate) whereabouts: Whereabouts<'a>,
    items: Vec<Item>,
    facts: Vec<HostFacts>,
    handed_out: bool,
    /// Events of this run so far.
    changes: u64,
    /// Of these, marked as inferred.
    inferred: u64,
}

impl<'a> BatchBuilder<'a> {
    pub(crate) fn new(plan: &'a Plan, clock: WallClock) -> Self {
        let whereabouts = Whereabouts::new(&plan.places);
        let items = Vec::with_capacity(2 * FULL);
        let facts = Vec::new();
        Self { plan, clock, whereabouts, items, facts, handed_out: false, changes: 0, inferred: 0 }
    }

    /// Adds what is to be shown, until as much is shown as was asked for.
    pub(crate) fn tracked(&mut self, tracked: TrackedEvent) {
        if self.is_complete() || !self.wants(&tracked) {
            return;
        }
        self.changes += 1;
        self.inferred += u64::from(tracked.is_inferred());
        self.items.push(Item::TrackedEvent(tracked));
    }

    /// Is it to be shown?
    pub(crate) fn wants(&mut self, tracked: &TrackedEvent) -> bool {
        (self.plan.selection)(tracked) && self.whereabouts.is_wanted(tracked.subject().cgroup)
    }

    /// Adds where a cgroup is, `None` if its path cannot be found.
    pub(crate) fn place(&mut self, id: CgroupId, place: Option<CgroupPlace>) {
        let place = self.whereabouts.learn(id, place);
        self.items.extend(place.map(|place| Item::Place(id, place)));
    }

    pub(crate) fn facts(&mut self, facts: HostFacts) {
        self.facts.push(facts);
    }

    pub(crate) fn losses(&mut self, losses: impl IntoIterator<Item = Loss>) {
        self.items.extend(losses.into_iter().map(Item::Loss));
    }

    /// Adds the totals, completed by what was shown.
    pub(crate) fn summary(&mut self, summary: Summary) {
        let (changes, inferred) = (self.changes, self.inferred);
        self.items.push(Item::Summary(Summary { changes, inferred, ..summary }));
    }

    /// As many events as the plan asks for were shown, or what it asks for is ambiguous.
    pub(crate) fn is_complete(&self) -> bool {
        self.plan.count.is_some_and(|count| self.changes >= count)
            || self.whereabouts.is_ambiguous()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.items.is_empty() && self.facts.is_empty()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.items.len() >= FULL || !self.facts.is_empty()
    }

    /// Drops the items of the batch that was handed out.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.handed_out) {
            self.items.clear();
            self.facts.clear();
        }
    }

    pub(crate) fn hand_out(&mut self, more: bool) -> Batch<'_> {
        self.handed_out = true;
        Batch { items: &self.items, facts: &self.facts, clock: &self.clock, more }
    }
}
