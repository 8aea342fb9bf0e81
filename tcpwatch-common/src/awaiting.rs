//! An end that a reset, sent a moment later, still decides. The kernel reports one thing after the other
//! for a socket: a reset that came, CLOSED, a reset that is sent. They follow each other on one CPU, in one
//! softirq.
//!
//! Producers: `tcpwatch-ebpf/src/count/`, one for each CPU. Consumer: `tcpwatch/kernel/src/probe/counts.rs`.

use crate::{
    Closing, Reason, ResetWay,
    counts::{ENDS, RESETS_RECEIVED},
    state::{CLOSED, CLOSING, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK},
};

/// The longest time from one to the next; the log puts events in order over the same time.
pub const WITHIN_NS: u64 = 1_000_000;

/// No end yet.
const OPEN: u32 = 0;

/// What was seen last of a socket whose end may still be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Awaiting {
    /// Address of the socket; 0 for none.
    pub sock: u64,
    /// When it was seen.
    pub at_ns: u64,
    /// Why it ended if no reset is sent: a [`Reason`] and 1 more; 0 if it has not ended.
    end: u32,
    /// The [`ResetWay`] of a reset that was seen; 0 for none.
    reset: u32,
    /// The cgroup that it is counted for.
    cgroup: u64,
}

/// 64-bit words of [`Awaiting`].
pub const AWAITING_WORDS: usize = 4;
const _: () = assert!(size_of::<Awaiting>() == 8 * AWAITING_WORDS, "no padding");

#[expect(clippy::as_conversions, reason = "fieldless enums with explicit numbers")]
const RECEIVED: u32 = ResetWay::Received as u32;
#[expect(clippy::as_conversions, reason = "fieldless enums with explicit numbers")]
const SENT: u32 = ResetWay::Sent as u32;

/// May this accepted reset be the kernel's way to end an orphan that data came for? Then it sends one.
#[must_use]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub const fn may_be_own_reset(state: u8) -> bool {
    matches!(state, FIN_WAIT_1 | FIN_WAIT_2 | CLOSING | LAST_ACK)
}

/// The socket that something is seen of.
#[derive(Clone, Copy, Debug)]
pub struct AwaitedSocket {
    /// Its address.
    pub at: u64,
    /// The cgroup that it is counted for.
    pub cgroup: u32,
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
#[expect(clippy::as_conversions, reason = "small to large")]
fn count(cgroup: u32, reason: Reason, add: &mut impl FnMut(u32, usize)) {
    add(cgroup, ENDS + reason as usize % Reason::ROOM);
}

#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
impl Awaiting {
    /// From its words.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "halves of a word, in the order of a little-endian machine"
    )]
    pub const fn from_words([sock, at_ns, end_reset, cgroup]: [u64; AWAITING_WORDS]) -> Self {
        Self { sock, at_ns, end: end_reset as u32, reset: (end_reset >> 32) as u32, cgroup }
    }

    #[inline(always)]
    #[expect(clippy::as_conversions, reason = "small to large, and From is not const")]
    const fn of(sock: AwaitedSocket, at_ns: u64, end: u32, reset: u32) -> Self {
        Self { sock: sock.at, at_ns, end, reset, cgroup: sock.cgroup as u64 }
    }

    #[inline(always)]
    const fn is_about(&self, sock: u64, now_ns: u64) -> bool {
        self.sock == sock && now_ns.saturating_sub(self.at_ns) <= WITHIN_NS
    }

    /// Counts one of what it was, now that no reset was sent, through `add(cgroup, word)`.
    #[inline(always)]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "masked, and a number of 32 bits"
    )]
    pub fn settle(&self, add: &mut impl FnMut(u32, usize)) {
        if self.sock == 0 {
            return;
        }
        let cgroup = self.cgroup as u32;
        if self.reset == RECEIVED {
            add(cgroup, RESETS_RECEIVED);
        }
        if self.end != OPEN {
            add(cgroup, ENDS + (self.end - 1) as usize % Reason::ROOM);
        }
    }

    /// A reset is accepted in a state of which [`may_be_own_reset`] is true.
    #[inline(always)]
    pub fn received(&mut self, sock: AwaitedSocket, now_ns: u64, add: &mut impl FnMut(u32, usize)) {
        self.settle(add);
        *self = Self::of(sock, now_ns, OPEN, RECEIVED);
    }

    /// The socket enters CLOSED; [`Closing::reset`] is filled in here.
    #[inline(always)]
    #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
    pub fn closed(
        &mut self,
        sock: AwaitedSocket,
        now_ns: u64,
        closing: Closing,
        add: &mut impl FnMut(u32, usize),
    ) {
        if self.sock == sock.at && self.end != OPEN {
            // That one has ended, and its memory is another socket's by now.
            self.settle(add);
            self.sock = 0;
        }
        let is_about = self.is_about(sock.at, now_ns);
        let reset = match self.reset {
            RECEIVED if is_about => Some(ResetWay::Received),
            SENT if is_about => Some(ResetWay::Sent),
            _ => None,
        };
        let closing = Closing { reset, ..closing };
        let reason = closing.reason();
        if is_about && self.reset == RECEIVED {
            self.end = reason as u32 + 1;
        } else if closing.awaits_reset() {
            self.settle(add);
            *self = Self::of(sock, now_ns, reason as u32 + 1, 0);
        } else {
            count(sock.cgroup, reason, add);
            if is_about {
                self.sock = 0;
            }
        }
    }

    /// The socket sends a reset in this state.
    #[inline(always)]
    pub fn sent(
        &mut self,
        sock: AwaitedSocket,
        now_ns: u64,
        state: u8,
        add: &mut impl FnMut(u32, usize),
    ) {
        if state == CLOSED && self.is_about(sock.at, now_ns) && self.end != OPEN {
            count(sock.cgroup, Reason::ResetSent, add);
            self.sock = 0;
        } else if may_be_own_reset(state) {
            self.settle(add);
            *self = Self::of(sock, now_ns, OPEN, SENT);
        }
    }
}

/// The last reset that a CPU sent without a full socket of the connection, to know one that a half-open
/// connection ends by (`tcp_check_req` in `net/ipv4/tcp_minisocks.c` sends it first).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LastReset {
    /// When it was sent.
    pub at_ns: u64,
    /// Its local port, and its remote one.
    pub ports: (u16, u16),
}

impl LastReset {
    /// Was it between these ports, and just now?
    #[must_use]
    #[inline]
    pub fn is(&self, ports: (u16, u16), now_ns: u64) -> bool {
        self.ports == ports && now_ns.saturating_sub(self.at_ns) <= WITHIN_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        counts::WORDS,
        state::{ESTABLISHED, SYN_SENT},
        state_change::FLAG_DEAD,
    };

    const SOCK: AwaitedSocket = AwaitedSocket { at: 0xffff_8880_0000_1000, cgroup: 7 };
    const OTHER: AwaitedSocket = AwaitedSocket { at: SOCK.at + 8, cgroup: 7 };
    const ECONNRESET: u16 = 104;

    #[derive(Clone, Copy)]
    enum AwaitStep {
        Received,
        Closed(Closing),
        Sent(u8),
        Other,
    }

    const ORPHAN: Closing = Closing { from: FIN_WAIT_2, error: 0, flags: FLAG_DEAD, reset: None };

    /// Ends and received resets that are counted, the last settled.
    fn counted(steps: &[AwaitStep]) -> (Vec<(Reason, u64)>, u64) {
        let mut words = [0; WORDS];
        let mut awaiting = Awaiting::default();
        let mut add = |cgroup: u32, word: usize| words[word] += u64::from(cgroup == 7);
        for (now, step) in (1..).zip(steps) {
            match *step {
                AwaitStep::Received => awaiting.received(SOCK, now, &mut add),
                AwaitStep::Closed(closing) => awaiting.closed(SOCK, now, closing, &mut add),
                AwaitStep::Sent(state) => awaiting.sent(SOCK, now, state, &mut add),
                AwaitStep::Other => awaiting.closed(OTHER, now, ORPHAN, &mut add),
            }
        }
        awaiting.settle(&mut add);
        let ends = Reason::ALL.into_iter().zip(&words[ENDS..]).filter(|(_, count)| **count > 0);
        (ends.map(|(reason, count)| (reason, *count)).collect(), words[RESETS_RECEIVED])
    }

    #[test]
    fn a_reset_that_follows_the_end_is_why_it_ended() {
        let ends = counted(&[AwaitStep::Closed(ORPHAN), AwaitStep::Sent(7)]);
        assert_eq!(ends, (vec![(Reason::ResetSent, 1)], 0));
    }

    #[test]
    fn an_accepted_reset_that_is_followed_by_a_sent_one_was_none() {
        let reset = Closing { error: ECONNRESET, ..ORPHAN };
        let steps = [AwaitStep::Received, AwaitStep::Closed(reset), AwaitStep::Sent(7)];
        assert_eq!(counted(&steps), (vec![(Reason::ResetSent, 1)], 0));
        assert_eq!(counted(&steps[..2]), (vec![(Reason::ResetReceived, 1)], 1));
    }

    #[test]
    fn a_reset_that_goes_before_the_end_is_why_it_ended() {
        let ends = counted(&[AwaitStep::Sent(FIN_WAIT_2), AwaitStep::Closed(ORPHAN)]);
        assert_eq!(ends, (vec![(Reason::ResetSent, 1)], 0));
    }

    #[test]
    fn without_a_reset_there_was_no_room_for_time_wait() {
        let ends = counted(&[AwaitStep::Closed(ORPHAN), AwaitStep::Other, AwaitStep::Sent(1)]);
        assert_eq!(ends, (vec![(Reason::TimeWaitOverflow, 2)], 0));
    }

    #[test]
    fn a_socket_in_the_memory_of_one_that_has_ended_is_another_one() {
        let reset = Closing { error: ECONNRESET, ..ORPHAN };
        let aborted = Closing { from: ESTABLISHED, ..Closing::default() };
        let first = [AwaitStep::Received, AwaitStep::Closed(reset)];
        let second =
            [AwaitStep::Sent(SYN_SENT), AwaitStep::Closed(aborted), AwaitStep::Sent(CLOSED)];
        let (mut ends, resets) = counted(&[&first[..], &second[..]].concat());
        ends.sort_unstable();
        assert_eq!(ends, [(Reason::ResetReceived, 1), (Reason::ResetSent, 1)]);
        assert_eq!(resets, 1);
    }

    #[test]
    fn what_is_long_ago_was_another_socket() {
        let mut words = [0; WORDS];
        let mut awaiting = Awaiting::default();
        let mut add = |cgroup: u32, word: usize| words[word] += u64::from(cgroup == 7);
        awaiting.closed(SOCK, 1, ORPHAN, &mut add);
        awaiting.sent(SOCK, 2 + WITHIN_NS, CLOSED, &mut add);
        awaiting.settle(&mut add);
        #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
        let overflow = ENDS + Reason::TimeWaitOverflow as usize;
        assert_eq!(words[overflow], 1);
    }
}
