//! The part of the road that a live run and a replay have in common: from an event to an item.

use anyhow::Result;
use tcpwatch_core::{
    account::Account,
    event::{Event, KernelTime, KnownSocket, TcpState, Waiter},
    loss::LossTotals,
    order::{Order, WINDOW},
    track::Tracker,
};
use tcpwatch_kernel::source::recording::Header;

use crate::{batch::BatchBuilder, losses::LossWatch, plan::Plan};

/// Later than everything.
pub(crate) const END_OF_TIME: KernelTime = KernelTime(u64::MAX);

/// Which events were not filtered by the kernel side with the filters of this run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfiltered {
    /// Listeners: it lets every one pass that has no port yet.
    Listeners,
    /// All, because they were recorded with other filters.
    All,
}

/// Order, tracker and items.
pub(crate) struct Road<'a> {
    plan: &'a Plan,
    unfiltered: Unfiltered,
    pub(crate) account: Account,
    order: Order,
    pub(crate) tracker: Tracker,
    pub(crate) shown: BatchBuilder<'a>,
}

impl<'a> Road<'a> {
    pub(crate) fn new(plan: &'a Plan, header: &Header, unfiltered: Unfiltered) -> Self {
        Self {
            plan,
            unfiltered,
            account: Account::new(header.clock.kernel),
            order: Order::default(),
            tracker: Tracker::new(header.reliance),
            shown: BatchBuilder::new(plan, header.clock),
        }
    }

    /// Learns of the wanted sockets that existed.
    pub(crate) fn learn(&mut self, known: &[KnownSocket]) {
        self.tracker.learn(known);
        if self.plan.existing {
            self.tracker.tell_existing(known, |tracked| self.shown.tracked(tracked));
        }
    }

    /// Takes in an event that arrived.
    pub(crate) fn push(&mut self, event: Event) {
        self.account.received += 1;
        self.order.push(event);
    }

    /// The time of the newest event that is held back.
    pub(crate) fn newest(&self) -> KernelTime {
        self.order.newest().unwrap_or(KernelTime(0))
    }

    /// Events are held back, or what one of them means.
    pub(crate) fn holds_back(&self) -> bool {
        !self.order.is_empty() || self.tracker.settles_at().is_some()
    }

    /// Order to tracker to items, as far as `now` allows. Returns whether that is done, and not only a
    /// batch full. `losses` are the kernel side's, of a live run.
    pub(crate) fn release_some(
        &mut self,
        now: KernelTime,
        mut losses: Option<&mut LossWatch>,
    ) -> Result<bool> {
        while let Some(event) = self.order.pop(now) {
            if self.is_stranger(&event) {
                continue;
            }
            if let Some(losses) = &mut losses
                && self.tracker.relies_on_silence(&event)
            {
                losses.refresh(&mut self.tracker)?;
            }
            self.tracker.apply(&event, |tracked| self.shown.tracked(tracked));
            if self.shown.is_full() {
                return Ok(false);
            }
        }
        if self.order.is_empty() {
            let until = now.before(WINDOW);
            if let Some(losses) = losses
                && self.tracker.settles_alone(until)
            {
                losses.refresh(&mut self.tracker)?;
            }
            self.tracker.settle(until, &mut |tracked| self.shown.tracked(tracked));
        }
        Ok(true)
    }

    /// The same, however full the batch gets.
    pub(crate) fn release(
        &mut self,
        now: KernelTime,
        mut losses: Option<&mut LossWatch>,
    ) -> Result<()> {
        while !self.release_some(now, losses.as_deref_mut())? {}
        Ok(())
    }

    /// Is this event wanted by another filter only?
    fn is_stranger(&self, event: &Event) -> bool {
        let (netns, ends) = event.between();
        let listens = matches!(event, Event::State(change) if change.to == TcpState::Listen);
        (self.unfiltered == Unfiltered::All || listens) && !self.plan.filters.wants(netns, ends)
    }

    /// Takes in the kernel's answer to a question about a socket.
    pub(crate) fn answer(&mut self, known: &KnownSocket) {
        self.tracker.answer(known, |tracked| self.shown.tracked(tracked));
    }

    /// Takes in the kernel's answer about a socket that stays in a state; is it still what the answer is about?
    pub(crate) fn still(&mut self, waiter: &Waiter) -> bool {
        self.tracker.still(waiter, |tracked| self.shown.tracked(tracked))
    }

    /// Losses become items.
    pub(crate) fn settle(&mut self, totals: LossTotals, now: KernelTime) {
        self.shown.losses(self.account.settle(totals, self.tracker.tally(), now));
    }

    /// The lives that are over but for TIME_WAIT, if they are wanted, and the last item. Fails instead if the
    /// wanted container turned out to be two.
    pub(crate) fn summarize(&mut self, end: KernelTime) -> Result<()> {
        self.shown.whereabouts.result()?;
        if self.plan.unfinished {
            self.tracker.tell_unfinished(end, |tracked| self.shown.tracked(tracked));
        }
        let mut summary = self.account.summary(end, self.tracker.tally());
        summary.out_of_order = self.order.late();
        summary.open = u64::try_from(self.tracker.open())?;
        self.shown.summary(summary);
        Ok(())
    }
}
