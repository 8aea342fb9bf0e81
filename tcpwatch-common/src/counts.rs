//! What the kernel side counts: the words of a block of counters, and what ends a mini-socket.
//!
//! Producer: `tcpwatch-ebpf/src/count/`. Consumer: `tcpwatch/kernel/src/probe/counts.rs`. There is a
//! [`Block`] of [`WORDS`] counters for each kind of program that can interrupt another one, on every
//! CPU; their sum is the count. Times are in nanoseconds, states are the kernel's numbers.

use crate::{
    Reason, mini_clock,
    state::{CLOSED, FIN_WAIT_2, TIME_WAIT},
};

/// Who writes a block. Programs of the same kind never interrupt each other on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Block {
    /// `inet_sock_set_state`, and all other programs: each of these has words of its own.
    Full = 0,
    /// The three programs on timers.
    Mini = 1,
    /// The first copy of `inet_sock_set_state`.
    FullSecond = 2,
    /// The second copy.
    FullThird = 3,
    /// The third copy.
    FullFourth = 4,
    /// The fourth copy.
    FullFifth = 5,
    /// `tcp_send_reset`, where it decides how a connection ended.
    ResetSent = 6,
    /// `tcp_receive_reset`, likewise.
    ResetReceived = 7,
    /// Retransmissions, which have words of their own, and walks through the sockets.
    Walk = 8,
}

/// Blocks on every CPU.
pub const BLOCKS: usize = 9;

/// Room for all state numbers; a power of two, so that a mask keeps an index inside.
pub const STATES: usize = 16;

/// Upper bounds of the buckets of the time in a state. The timers that end TIME_WAIT and, by default,
/// FIN_WAIT_2 run 60 s and up to 5.12 s longer, by the timer wheel: two bounds enclose them.
pub const STATE_BOUNDS_NS: [u64; 15] = [
    1_000_000,
    10_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    59_000_000_000,
    66_000_000_000,
    120_000_000_000,
    300_000_000_000,
    900_000_000_000,
    3_600_000_000_000,
    21_600_000_000_000,
];

/// Upper bounds of the buckets of the time a connect takes. From 1 s on they follow the schedule of
/// SYNs sent again: more than 1 s is at least one SYN or its answer lost.
pub const CONNECT_BOUNDS_NS: [u64; 22] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    3_000_000_000,
    4_000_000_000,
    5_000_000_000,
    7_000_000_000,
    15_000_000_000,
    31_000_000_000,
    67_000_000_000,
    127_000_000_000,
];

/// Largest number of SYNs of a connect that has a bucket of its own.
pub const SYN_BOUND: usize = 7;

/// First word: changes, `from * STATES + to`.
pub const TRANSITIONS: usize = 0;
/// First word: stays in a state, `state * STATES + bucket`.
pub const STAYS: usize = TRANSITIONS + STATES * STATES;
/// First word: time in a state, by state.
pub const STAYS_NS: usize = STAYS + STATES * STATES;
/// First word: stays whose begin was not seen, by state.
pub const UNTIMED: usize = STAYS_NS + STATES;
/// First word: successful connects, by bucket.
pub const CONNECTED: usize = UNTIMED + STATES;
/// Time that successful connects took.
pub const CONNECTED_NS: usize = CONNECTED + CONNECT_BOUNDS_NS.len() + 1;
/// First word: ended connect attempts by the number of their SYNs less one.
pub const SYNS: usize = CONNECTED_NS + 1;
/// Sockets whose times are not kept, because there was no memory or the table was full.
pub const UNKEPT: usize = SYNS + SYN_BOUND + 1;
/// Mini-sockets that were put into the table.
pub const MINIS_KEPT: usize = UNKEPT + 1;
/// Mini-sockets that were taken out of it.
pub const MINIS_TAKEN: usize = MINIS_KEPT + 1;
/// Words of a block. Those that follow are counted by cgroup, in [`crate::books`].
pub const BLOCK_WORDS: usize = MINIS_TAKEN + 1;

/// Connect attempts.
pub const CONNECTS: usize = BLOCK_WORDS;
/// All SYNs of ended connect attempts.
pub const SYNS_SUM: usize = CONNECTS + 1;
/// Connections accepted.
pub const ACCEPTS: usize = SYNS_SUM + 1;
/// Resets sent.
pub const RESETS_SENT: usize = ACCEPTS + 1;
/// Resets accepted by a full socket.
pub const RESETS_RECEIVED: usize = RESETS_SENT + 1;
/// First word: segments sent again, by [`RetransmitKind`].
pub const AGAIN: usize = RESETS_RECEIVED + 1;
/// First word: connect attempts without success, by [`Reason`].
pub const CONNECT_ENDS: usize = AGAIN + 4;
/// First word: ended connections, by [`Reason`].
pub const ENDS: usize = CONNECT_ENDS + Reason::ROOM;
/// All words.
pub const WORDS: usize = ENDS + Reason::ROOM;

/// Mini-sockets at most whose times are kept in the table, unless user space sets another limit: those
/// that were born in FIN_WAIT_2, and those whose TIME_WAIT was started anew.
pub const MAX_MINIS: u32 = 65_536;
/// Places for full sockets that become mini-sockets at this moment, two for each to choose from; a power
/// of two.
pub const BURIALS: usize = 4096;

/// What was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the words say it")]
pub enum RetransmitKind {
    Syn = 0,
    SynAck = 1,
    Fin = 2,
    Data = 3,
}

#[expect(clippy::as_conversions, reason = "small to large, and From is not const")]
const fn index(state: u8) -> usize {
    (state & 15) as usize
}

/// The word that counts changes from one state to another.
#[must_use]
pub const fn transition(from: u8, to: u8) -> usize {
    TRANSITIONS + index(from) * STATES + index(to)
}

/// Counts a stay in a state through `add(word, number)`; `None` if its begin was not seen.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub fn stay(state: u8, lasted_ns: Option<u64>, add: &mut impl FnMut(usize, u64)) {
    match lasted_ns {
        Some(nanos) => {
            add(STAYS + index(state) * STATES + bucket(&STATE_BOUNDS_NS, nanos), 1);
            add(STAYS_NS + index(state), nanos);
        }
        None => add(UNTIMED + index(state), 1),
    }
}

/// Number of the bucket: that of the first bound that is not exceeded, or the one behind all.
#[inline(always)]
#[must_use]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub fn bucket<const N: usize>(bounds: &[u64; N], value: u64) -> usize {
    let mut bucket = 0;
    for bound in bounds {
        if value <= *bound {
            break;
        }
        bucket += 1;
    }
    bucket
}

/// The last event of a mini-socket's timer on a CPU, as long as the next one may still say what it
/// meant. If none does for some milliseconds, the mini-socket has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Pending {
    /// Address of the timer; 0 if nothing is pending.
    pub timer: u64,
    /// When it happened.
    pub at_ns: u64,
    /// When the state was entered; 0 if that is not known.
    pub since_ns: u64,
    /// If FIN_WAIT_2 became TIME_WAIT without a word: when FIN_WAIT_2 was entered; 0 if not known.
    pub earlier_ns: u64,
    /// State: kernel number.
    pub state: u32,
    /// [`Reason`], if it is an end.
    pub end: u32,
    /// The state under which the mini-socket is in the table; 0 if it is not there.
    pub kept: u32,
    /// 1 if a full socket has come to where a mini-socket takes over since then, on this CPU.
    pub overtaken: u32,
    /// 1 if the timer fired; otherwise it was disarmed.
    pub expired: u32,
    /// Local port in the upper half, remote port in the lower: the memory may soon be another mini-socket's.
    pub ports: u32,
    /// The [`crate::books::MiniMark`] that it had, as one word; 0 if it was not counted.
    pub mark: u64,
}

const _: () = assert!(size_of::<Pending>() == 8 * PENDING_WORDS, "no padding");
/// 64-bit words of [`Pending`].
pub const PENDING_WORDS: usize = 8;

impl Pending {
    /// From its words.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "halves of a word, in the order of a little-endian machine"
    )]
    pub const fn from_words(words: [u64; PENDING_WORDS]) -> Self {
        let [timer, at_ns, since_ns, earlier_ns, state_end, kept, expired, mark] = words;
        let (state, end) = (state_end as u32, (state_end >> 32) as u32);
        let (kept, expired) = (kept as u32, expired as u32);
        Self {
            timer,
            at_ns,
            since_ns,
            earlier_ns,
            state,
            end,
            kept,
            overtaken: 0,
            expired,
            ports: 0,
            mark,
        }
    }

    /// Did FIN_WAIT_2 become TIME_WAIT without an event that reports it?
    #[must_use]
    #[inline]
    #[expect(clippy::as_conversions, reason = "masked numbers")]
    pub const fn is_silent_change(&self) -> bool {
        mini_clock::became_time_wait((self.kept & 15) as u8, (self.state & 15) as u8)
    }

    /// Counts the end that this has turned out to be, through `add(word, number)`. Returns the word of its reason,
    /// which is counted by cgroup.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
    #[expect(clippy::as_conversions, reason = "masked numbers")]
    pub fn settle(&self, add: &mut impl FnMut(usize, u64)) -> usize {
        let state = (self.state & 15) as u8;
        if self.is_silent_change() {
            add(transition(FIN_WAIT_2, TIME_WAIT), 1);
            stay(FIN_WAIT_2, between(self.earlier_ns, self.since_ns), add);
        }
        add(transition(state, CLOSED), 1);
        stay(state, between(self.since_ns, self.at_ns), add);
        ENDS + self.end as usize % Reason::ROOM
    }
}

/// Time from one moment to another; `None` if the first is not known (0).
#[inline(always)]
#[must_use]
#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
pub fn between(since_ns: u64, until_ns: u64) -> Option<u64> {
    if since_ns == 0 { None } else { Some(until_ns.saturating_sub(since_ns)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pending: Pending) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let reason = pending.settle(&mut |word, number| words[word] += number);
        words[reason] += 1;
        words
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        assert_eq!(bucket(&STATE_BOUNDS_NS, 0), 0);
        assert_eq!(bucket(&STATE_BOUNDS_NS, 1_000_000), 0);
        assert_eq!(bucket(&STATE_BOUNDS_NS, 1_000_001), 1);
        assert_eq!(bucket(&STATE_BOUNDS_NS, u64::MAX), STATE_BOUNDS_NS.len());
    }

    #[test]
    fn every_bucket_of_a_state_has_a_word() {
        assert_eq!(STATE_BOUNDS_NS.len() + 1, STATES);
    }

    #[test]
    fn an_end_after_a_silent_change_is_two_changes_with_a_time_each() {
        let second = 1_000_000_000;
        let words = counted(Pending {
            timer: 8,
            at_ns: 70 * second,
            since_ns: 10 * second,
            earlier_ns: 8 * second,
            state: 6,
            end: 11,
            kept: 5,
            expired: 1,
            ..Pending::default()
        });
        assert_eq!(words[transition(FIN_WAIT_2, TIME_WAIT)], 1);
        assert_eq!(words[transition(TIME_WAIT, CLOSED)], 1);
        assert_eq!(words[STAYS_NS + 5], 2 * second);
        assert_eq!(words[STAYS_NS + 6], 60 * second);
        assert_eq!(words[ENDS + 11], 1, "the timer");
        assert_eq!(words.iter().filter(|word| **word != 0).count(), 7);
    }

    #[test]
    fn a_stay_whose_begin_was_not_seen_has_no_time() {
        let words = counted(Pending { timer: 8, at_ns: 70, state: 6, ..Pending::default() });
        assert_eq!(words[UNTIMED + 6], 1);
        assert_eq!(words[STAYS_NS + 6], 0);
    }
}
