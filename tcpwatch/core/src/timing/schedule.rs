//! What comes out: when each attempt is made, and when the kernel gives up.

use std::time::Duration;

use super::{
    walk::Walk,
    wheel::{TickRate, lateness},
};

/// When something happens: never before the promise, and at the latest what the timer wheel
/// allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// What the kernel sets out to wait.
    pub promise: Duration,
    /// What it may take if every timer on the way is as late as it can be.
    pub latest: Duration,
}

impl Window {
    /// One timer that is armed to be due after some ticks.
    pub(super) fn of_timer(ticks: u64, rate: TickRate) -> Self {
        let latest = rate.duration(ticks.saturating_add(lateness(ticks)));
        Self { promise: rate.duration(ticks), latest }
    }

    /// One timer that is armed for a time.
    #[must_use]
    pub fn timer(time: Duration, rate: TickRate) -> Self {
        Self::of_timer(rate.ticks(time), rate)
    }

    /// One after the other.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        Self {
            promise: self.promise.saturating_add(next.promise),
            latest: self.latest.saturating_add(next.latest),
        }
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// A retransmission because the timer ran out.
    Timer,
    /// A tail loss probe (RFC 8985, 7): a retransmission that the kernel does not count
    /// (`tcp_send_loss_probe`, `net/ipv4/tcp_output.c`).
    Probe,
}

/// One retransmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When, counted from the first transmission.
    pub window: Window,
    /// When, counted from the attempt before (for the first one, from the first transmission).
    pub gap: Window,
    /// What is sent.
    pub kind: AttemptKind,
    /// It is made in any case. Otherwise a kernel whose timers were late gives up in its place.
    pub certain: bool,
}

/// All that a kernel sends again while no answer comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The retransmissions if no timer is late. Those that are not certain come last.
    pub attempts: Vec<Attempt>,
    /// When the kernel gives up, counted from the first transmission. The promise is the earliest
    /// end; where attempts are not certain, that is before the last of them.
    pub gives_up: Window,
    /// The wait from the last of the attempts to giving up.
    pub(super) last_gap: Window,
}

/// What a timer brings when it runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next attempt.
    Attempt,
    /// The end.
    GivesUp,
    /// One or the other, depending on how late the timers before were.
    Either,
}

/// The timer that runs after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// How long it runs.
    pub wait: Window,
    /// What it brings.
    pub then: Then,
}

impl Schedule {
    /// Timers one after the other, each armed when the one before ran out. All but the last bring an
    /// attempt, the last one the end.
    #[must_use]
    pub fn of_waits(waits: &[Duration], rate: TickRate) -> Self {
        let mut walk = Walk::new(rate);
        for (number, wait) in waits.iter().enumerate() {
            if number > 0 {
                walk.attempt(AttemptKind::Timer);
            }
            walk.wait(rate.ticks(*wait));
        }
        walk.give_up()
    }

    /// The wait before an attempt; the first retransmission is number 1.
    #[must_use]
    pub fn gap(&self, attempt: usize) -> Option<Window> {
        Some(self.attempts.get(attempt.checked_sub(1)?)?.gap)
    }

    /// When the kernel gives up, counted from a moment at which this many attempts were made and the timer is
    /// due after `left`. Nothing is known of attempts that are not in the schedule.
    #[must_use]
    pub fn gives_up_from(&self, attempts: usize, left: Duration, rate: TickRate) -> Option<Window> {
        let next = Window::timer(left, rate);
        let Some(attempt) = self.attempts.get(attempts) else {
            return (attempts == self.attempts.len()).then_some(next);
        };
        Some(next.then(Window {
            promise: self.gives_up.promise.saturating_sub(attempt.window.promise),
            latest: self.gives_up.latest.saturating_sub(attempt.window.latest),
        }))
    }

    /// What follows an attempt; number 0 is the first transmission. Nothing is known of attempts
    /// that are not in the schedule.
    #[must_use]
    pub fn after(&self, attempt: usize) -> Option<Next> {
        if attempt == self.attempts.len() {
            return Some(Next { wait: self.last_gap, then: Then::GivesUp });
        }
        let next = self.attempts.get(attempt)?;
        let then = if next.certain { Then::Attempt } else { Then::Either };
        Some(Next { wait: next.gap, then })
    }
}
