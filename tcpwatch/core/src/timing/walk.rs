//! From timer to timer: each is armed when the one before really fired, so lateness adds up.

use std::time::Duration;

use super::{
    Attempt, AttemptKind, Schedule, Window,
    wheel::{TickRate, lateness},
};

/// Ticks that have passed if no timer was late, and if each was as late as it can be.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    promise: u64,
    latest: u64,
}

/// A schedule that is being made.
#[derive(Debug)]
pub(super) struct Walk {
    rate: TickRate,
    /// From the first transmission to `tp->retrans_stamp`, from which the kernel counts.
    start: Passed,
    /// From there to the timer that has run out now.
    elapsed: Passed,
    /// How long that timer ran.
    gap: Window,
    attempts: Vec<Attempt>,
    /// When the kernel gives up if the timers were late, if that comes before it must.
    earliest_end: Option<Duration>,
}

impl Walk {
    /// At the first transmission, from which elapsed time counts too.
    pub(super) fn new(rate: TickRate) -> Self {
        Self {
            rate,
            start: Passed::default(),
            elapsed: Passed::default(),
            gap: Window::default(),
            attempts: Vec::new(),
            earliest_end: None,
        }
    }

    /// Lets a timer run out.
    pub(super) fn wait(&mut self, ticks: u64) {
        self.pass(ticks, ticks);
    }

    /// Lets a timer run out that a user timeout may have shortened
    /// (`tcp_clamp_rto_to_user_timeout`, `net/ipv4/tcp_timer.c`): to what is left of it, and to one
    /// tick if nothing is.
    pub(super) fn wait_within(&mut self, ticks: u64, user_timeout: Option<Duration>) {
        let Some(timeout) = user_timeout else { return self.wait(ticks) };
        let left = |elapsed| {
            let left = timeout.saturating_sub(self.rate.duration(elapsed));
            ticks.min(self.rate.ticks(left).max(1))
        };
        self.pass(left(self.elapsed.latest), left(self.elapsed.promise));
    }

    /// The timers before were late and this one is `shortest`, or in time and it is `longest`.
    fn pass(&mut self, shortest: u64, longest: u64) {
        let latest = shortest.saturating_add(lateness(longest));
        self.elapsed.promise = self.elapsed.promise.saturating_add(longest);
        self.elapsed.latest = self.elapsed.latest.saturating_add(latest);
        self.gap = Window {
            promise: self.rate.duration(shortest),
            latest: Window::of_timer(longest, self.rate).latest,
        };
    }

    /// Retransmits.
    pub(super) fn attempt(&mut self, kind: AttemptKind) {
        let (window, gap) = (self.now(), self.gap);
        let certain = self.earliest_end.is_none();
        self.attempts.push(Attempt { window, gap, kind, certain });
    }

    /// Attempts made.
    pub(super) fn attempts(&self) -> usize {
        self.attempts.len()
    }

    /// Elapsed time counts from here.
    pub(super) fn start_here(&mut self) {
        self.start = self.sum();
        self.elapsed = Passed::default();
    }

    /// Whether `patience` has passed for certain (`retransmits_timed_out`,
    /// `net/ipv4/tcp_timer.c`); that it may have passed is remembered.
    pub(super) fn timed_out(&mut self, patience: Duration) -> bool {
        if self.rate.duration(self.elapsed.latest) >= patience && self.earliest_end.is_none() {
            let over = self.rate.duration(self.start.promise).saturating_add(patience);
            self.earliest_end = Some(over.max(self.now().promise));
        }
        self.rate.duration(self.elapsed.promise) >= patience
    }

    /// Gives up at the timer that has run out now.
    pub(super) fn give_up(self) -> Schedule {
        let Window { promise, latest } = self.now();
        let promise = self.earliest_end.map_or(promise, |end| end.min(promise));
        let gives_up = Window { promise, latest };
        Schedule { attempts: self.attempts, gives_up, last_gap: self.gap }
    }

    fn sum(&self) -> Passed {
        Passed {
            promise: self.start.promise.saturating_add(self.elapsed.promise),
            latest: self.start.latest.saturating_add(self.elapsed.latest),
        }
    }

    fn now(&self) -> Window {
        let Passed { promise, latest } = self.sum();
        Window { promise: self.rate.duration(promise), latest: self.rate.duration(latest) }
    }
}
