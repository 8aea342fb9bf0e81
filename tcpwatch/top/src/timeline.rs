//! Steps through a recording, forwards and back.

use std::collections::BTreeMap;

use tcpwatch_core::event::KernelTime;
use tcpwatch_stream::batch::Item;

use crate::{
    screen::{ReplayProgress, ReplayStep, Screen},
    sockets::Sockets,
};

/// What is kept of a recording, some 300 bytes each.
pub const MOST_ITEMS: usize = 1_000_000;
/// States of the table that are kept to step back from.
const CHECKPOINTS: usize = 32;
/// Items between two of them at least.
const LEAST_APART: usize = 10_000;

/// What a recording yields, and how much of it is shown.
#[derive(Default)]
pub struct Timeline {
    items: Vec<Item>,
    /// The latest moment by each of them, and the events by then, it included.
    moments: Vec<(KernelTime, usize)>,
    /// Items that are shown.
    at: usize,
    checkpoints: BTreeMap<usize, Sockets>,
}

impl Timeline {
    /// Adds what comes next; returns whether there is room for more.
    pub fn push(&mut self, item: Item) -> bool {
        let (before, events) = self.moments.last().copied().unwrap_or((KernelTime(0), 0));
        let (at, event) = match &item {
            Item::TrackedEvent(tracked) => (tracked.at(), 1),
            Item::Loss(loss) => (loss.at, 0),
            Item::Place(..) | Item::Summary(_) => (before, 0),
        };
        self.items.push(item);
        self.moments.push((at.max(before), events + event));
        self.items.len() < MOST_ITEMS
    }

    /// Shows what was there at the beginning.
    pub fn begin(&mut self, screen: &mut Screen) {
        let existed = |item: &Item| {
            matches!(item, Item::Place(..))
                || matches!(item, Item::TrackedEvent(tracked) if tracked.name() == "existing")
        };
        let end = self.items.iter().position(|item| !existed(item)).unwrap_or(self.items.len());
        self.go_to(end, screen);
    }

    /// How far it is shown.
    #[must_use]
    pub fn progress(&self, playing: bool) -> ReplayProgress {
        let events = |count: usize| {
            count.checked_sub(1).and_then(|last| self.moments.get(last)).map_or(0, |(_, it)| *it)
        };
        ReplayProgress { event: events(self.at), events: events(self.items.len()), playing }
    }

    /// The moment up to which it is shown, or of its first event.
    #[must_use]
    pub fn now(&self) -> KernelTime {
        let last = self.moments.get(self.at.saturating_sub(1));
        last.map_or(KernelTime(0), |(at, _)| *at)
    }

    /// All of it is shown.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.at == self.items.len()
    }

    /// Takes a step.
    pub fn step(&mut self, step: ReplayStep, screen: &mut Screen) {
        let now = screen.live().sockets.now;
        match step {
            ReplayStep::Forward => {
                let more = self.items.iter().skip(self.at);
                let is_event = |item: &Item| matches!(item, Item::TrackedEvent(_));
                let passed = more.take_while(|item| !is_event(item)).count();
                self.go_to(self.at + passed + 1, screen);
            }
            ReplayStep::Backward => {
                let shown = self.items.get(..self.at).unwrap_or_default();
                let is_event = |item: &Item| matches!(item, Item::TrackedEvent(_));
                let to = shown.iter().rposition(is_event).unwrap_or(0);
                self.go_to(to, screen);
            }
            ReplayStep::Later(time) => self.to(now.after(time), screen),
            ReplayStep::Earlier(time) => self.to(now.before(time), screen),
            ReplayStep::To(at) => self.to(at, screen),
            ReplayStep::Play => {}
        }
    }

    /// Shows everything up to a moment.
    pub fn to(&mut self, at: KernelTime, screen: &mut Screen) {
        let end = self.moments.partition_point(|(moment, _)| *moment <= at);
        self.go_to(end, screen);
        let last = self.moments.last().map_or(KernelTime(0), |(at, _)| *at);
        let first = self.moments.first().map_or(KernelTime(0), |(at, _)| *at);
        screen.pass(at.clamp(first, last));
    }

    fn go_to(&mut self, end: usize, screen: &mut Screen) {
        let end = end.min(self.items.len());
        if end < self.at {
            let checkpoint = self.checkpoints.range(..=end).next_back();
            let (at, sockets) =
                checkpoint.map_or((0, Sockets::default()), |(at, it)| (*at, it.clone()));
            screen.restore(sockets);
            self.at = at;
        }
        let apart = (self.items.len() / CHECKPOINTS).max(LEAST_APART);
        while self.at < end {
            let Some((item, (now, _))) = self.items.get(self.at).zip(self.moments.get(self.at))
            else {
                break;
            };
            screen.apply(item);
            screen.pass(*now);
            self.at += 1;
            if self.at.is_multiple_of(apart) && !self.checkpoints.contains_key(&self.at) {
                self.checkpoints.insert(self.at, screen.live().sockets.clone());
            }
        }
        while !screen.go_on() {}
        screen.progress = self.progress(screen.progress.playing);
    }
}
