//! Steps through a recording, forwards and back.

use std::{collections::BTreeMap, time::Duration};

use rustc_hash::FxHashSet;
use tcpwatch_core::{
    event::{Cookie, KernelTime},
    facts::HostFacts,
};
use tcpwatch_stream::batch::Item;

use crate::{
    findings::{FindingJudge, Passes, narrow},
    screen::{ReplayProgress, ReplayStep, Screen},
    sockets::Sockets,
    verdicts::Verdicts,
};

/// What is kept of a recording, some 300 bytes each.
pub const MOST_ITEMS: usize = 1_000_000;
/// States of the table that are kept to step back from.
const CHECKPOINTS: usize = 32;
/// Items between two of them at least.
const LEAST_APART: usize = 10_000;

/// Moments at which a recording is judged, at most once a second.
const VERDICTS: u32 = 1000;

/// Something in a recording.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are items: a box for each would take more"
)]
enum TimelineItem {
    Item(Item),
    Facts(Box<HostFacts>),
}

impl TimelineItem {
    const fn is_event(&self) -> bool {
        matches!(self, Self::Item(Item::TrackedEvent(_)))
    }
}

/// What a recording yields, and how much of it is shown.
#[derive(Default)]
pub struct Timeline {
    items: Vec<TimelineItem>,
    /// The latest moment by each of them, and the events by then, it included.
    moments: Vec<(KernelTime, usize)>,
    /// Items that are shown.
    at: usize,
    checkpoints: BTreeMap<usize, Sockets>,
    verdicts: Verdicts,
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
        self.items.push(TimelineItem::Item(item));
        self.moments.push((at.max(before), events + event));
        self.items.len() < MOST_ITEMS
    }

    /// Adds a look at the kernel, behind all that came before.
    pub fn push_facts(&mut self, facts: HostFacts) {
        let (before, events) = self.moments.last().copied().unwrap_or((KernelTime(0), 0));
        self.moments.push((facts.at.max(before), events));
        self.items.push(TimelineItem::Facts(Box::new(facts)));
    }

    /// Finds out what is wrong in all of it, when it is complete.
    pub fn judge(&mut self, passes: Option<&Passes>) {
        let times = || self.moments.iter().map(|(at, _)| *at);
        let Some(first) = times().find(|at| at.0 > 0) else { return };
        let last = times().next_back().unwrap_or(first);
        let period = Duration::from_secs(1).max(last.since(first) / VERDICTS);
        let (mut judge, mut next) = (FindingJudge::default(), first.after(period));
        let mut known: FxHashSet<Cookie> = FxHashSet::default();
        for (recorded, (at, _)) in self.items.iter_mut().zip(&self.moments) {
            while next <= *at {
                self.verdicts.push(next, judge.findings(next));
                next = next.after(period);
            }
            match recorded {
                TimelineItem::Item(item) => {
                    if let Item::TrackedEvent(tracked) = item {
                        known.extend(tracked.subject().socket);
                    }
                    judge.item(item);
                }
                TimelineItem::Facts(facts) => {
                    if let Some(passes) = passes {
                        narrow(facts, passes, |socket| known.contains(&socket));
                    }
                    judge.facts(facts);
                }
            }
        }
        self.verdicts.push(last, judge.findings(last));
    }

    /// Shows what was there at the beginning.
    pub fn begin(&mut self, screen: &mut Screen) {
        let existed = |item: &TimelineItem| match item {
            TimelineItem::Item(Item::TrackedEvent(tracked)) => tracked.name() == "existing",
            TimelineItem::Item(item) => matches!(item, Item::Place(..)),
            TimelineItem::Facts(_) => false,
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
                let passed = more.take_while(|item| !item.is_event()).count();
                self.go_to(self.at + passed + 1, screen);
            }
            ReplayStep::Backward => {
                let shown = self.items.get(..self.at).unwrap_or_default();
                let to = shown.iter().rposition(TimelineItem::is_event).unwrap_or(0);
                self.go_to(to, screen);
            }
            ReplayStep::Later(time) => self.to(now.after(time), screen),
            ReplayStep::Earlier(time) => self.to(now.before(time), screen),
            ReplayStep::To(at) => self.to(at, screen),
            ReplayStep::NextFinding => self.go_to_finding(true, screen),
            ReplayStep::LastFinding => self.go_to_finding(false, screen),
            ReplayStep::Play => {}
        }
    }

    fn go_to_finding(&mut self, on: bool, screen: &mut Screen) {
        let Some(beginning) = self.verdicts.go(screen.live().sockets.now, on) else {
            let where_to = if on { "after" } else { "before" };
            screen.message = Some(format!("no finding begins {where_to} this"));
            return;
        };
        self.to(beginning.at, screen);
        screen.findings.choose(&beginning.key);
        screen.select_example();
    }

    /// Shows everything up to a moment.
    pub fn to(&mut self, at: KernelTime, screen: &mut Screen) {
        let end = self.moments.partition_point(|(moment, _)| *moment <= at);
        self.go_to(end, screen);
        let last = self.moments.last().map_or(KernelTime(0), |(at, _)| *at);
        let first = self.moments.first().map_or(KernelTime(0), |(at, _)| *at);
        screen.pass(at.clamp(first, last));
        self.show_findings(screen);
    }

    fn show_findings(&self, screen: &mut Screen) {
        screen.judge(self.verdicts.at(screen.live().sockets.now).to_vec());
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
            match item {
                TimelineItem::Item(item) => screen.apply(item),
                TimelineItem::Facts(facts) => screen.facts(facts),
            }
            screen.pass(*now);
            self.at += 1;
            if self.at.is_multiple_of(apart) && !self.checkpoints.contains_key(&self.at) {
                self.checkpoints.insert(self.at, screen.live().sockets.clone());
            }
        }
        while !screen.go_on() {}
        self.show_findings(screen);
        screen.progress = self.progress(screen.progress.playing);
    }
}
