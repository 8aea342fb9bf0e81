//! What the events of a mini-socket's timer mean: the one place where that is decided, for log and metrics.
//!
//! It shows only with the next one (`kernel/time/timer.c`): a cancel is followed at once by an expiry (the
//! timer fired), by a start (it was moved) or by neither (the mini-socket ended early); the expiry of a half-open
//! connection by a start (the SYN+ACK was sent again) or not (it was given up). A timer that is moved inside its
//! bucket of the timer wheel causes no event: then the end shows what happened.

use crate::{
    MiniKind, TimerEvent,
    state::{FIN_WAIT_2, SYN_RECV, TIME_WAIT},
};

/// `TCP_TIMEWAIT_LEN` in `include/net/tcp.h`, in seconds: compiled in.
pub const TIME_WAIT_SECONDS: u64 = 60;

/// How long an event waits for the next one that decides, in nanoseconds. Both happen in one go in the kernel,
/// within microseconds; an emulated machine was seen to take milliseconds.
pub const DECIDED_WITHIN_NS: u64 = 20_000_000;

/// What an event means as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStep {
    /// A mini-socket begins.
    Begins,
    /// The timer of one that is known runs anew; [`Anew`] says why.
    RunsAnew,
    /// The next event decides; without one, the mini-socket has ended.
    Waits,
    /// It has ended.
    Ends,
}

/// Why a timer runs anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anew {
    /// A half-open connection has sent its SYN+ACK again.
    SentAgain,
    /// The peer's FIN has come: FIN_WAIT_2 became TIME_WAIT, before the timer was moved
    /// (`tcp_timewait_state_process` in `net/ipv4/tcp_minisocks.c`).
    TimeWait,
    /// The time in its state begins anew.
    Restarts,
}

#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
impl ClockStep {
    /// Of an event; `is_known` says that a start is about a mini-socket that is there already.
    #[must_use]
    #[inline(always)]
    pub const fn of(kind: MiniKind, event: TimerEvent, is_known: bool) -> Self {
        match (event, kind) {
            (TimerEvent::Start, _) if is_known => Self::RunsAnew,
            (TimerEvent::Start, _) => Self::Begins,
            (TimerEvent::Expire, MiniKind::TimeWait) => Self::Ends,
            (TimerEvent::Cancel, _) | (TimerEvent::Expire, MiniKind::Request) => Self::Waits,
        }
    }
}

#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
impl Anew {
    /// Of a timer that runs anew in the state `now`; `known` is the last that was known, in the kernel's
    /// numbers, both.
    #[must_use]
    #[inline(always)]
    pub const fn of(known: u8, now: u8) -> Self {
        match now {
            SYN_RECV => Self::SentAgain,
            _ if became_time_wait(known, now) => Self::TimeWait,
            _ => Self::Restarts,
        }
    }
}

/// Whether the timer of a half-open connection that is armed right after one with the same ends fired belongs to
/// the same one: its handler counts before it arms the timer (`reqsk_timer_handler` in
/// `net/ipv4/inet_connection_sock.c`), so that one that has `not_fired` is new. The old one was given up, and the
/// peer's next SYN came at once.
#[must_use]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub const fn goes_on(expired: bool, not_fired: bool) -> bool {
    !(expired && not_fired)
}

/// Did FIN_WAIT_2, which was known, become TIME_WAIT, which shows now?
#[must_use]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub const fn became_time_wait(known: u8, now: u8) -> bool {
    known == FIN_WAIT_2 && now == TIME_WAIT
}

/// The jiffy in which the time in TIME_WAIT began, or began anew last, of a timer that is due in the jiffy
/// `due`; a jiffy takes `tick_ns` nanoseconds.
#[must_use]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub const fn time_wait_began(due: u64, tick_ns: u64) -> u64 {
    due.saturating_sub(TIME_WAIT_SECONDS * 1_000_000_000 / if tick_ns == 0 { 1 } else { tick_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expiry_of_a_timewait_socket_is_an_end_by_itself() {
        for kind in [MiniKind::TimeWait, MiniKind::Request] {
            assert_eq!(ClockStep::of(kind, TimerEvent::Start, false), ClockStep::Begins);
            assert_eq!(ClockStep::of(kind, TimerEvent::Start, true), ClockStep::RunsAnew);
            assert_eq!(ClockStep::of(kind, TimerEvent::Cancel, true), ClockStep::Waits);
        }
        assert_eq!(ClockStep::of(MiniKind::TimeWait, TimerEvent::Expire, true), ClockStep::Ends);
        assert_eq!(ClockStep::of(MiniKind::Request, TimerEvent::Expire, true), ClockStep::Waits);
    }

    #[test]
    fn a_timer_that_runs_anew_says_by_the_state_why() {
        assert_eq!(Anew::of(SYN_RECV, SYN_RECV), Anew::SentAgain);
        assert_eq!(Anew::of(FIN_WAIT_2, TIME_WAIT), Anew::TimeWait);
        assert_eq!(Anew::of(TIME_WAIT, TIME_WAIT), Anew::Restarts);
        assert_eq!(Anew::of(FIN_WAIT_2, FIN_WAIT_2), Anew::Restarts);
    }

    #[test]
    fn a_request_that_was_given_up_does_not_go_on_in_the_next_one() {
        assert!(!goes_on(true, true), "the handler has counted one at least");
        assert!(goes_on(true, false), "the SYN+ACK is sent again");
        assert!(goes_on(false, true), "the SYN came again before the timer fired: it is moved");
    }

    #[test]
    fn time_wait_began_a_minute_before_it_is_due_at_every_tick_rate() {
        for hz in [100, 250, 300, 1000] {
            assert_eq!(time_wait_began(1_000_000, 1_000_000_000 / hz), 1_000_000 - 60 * hz);
        }
        assert_eq!(time_wait_began(5, 1_000_000), 0);
    }
}
