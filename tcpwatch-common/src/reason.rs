//! Why a socket entered CLOSED and how a connection ended: one list for log and metrics.

/// Why a socket entered CLOSED. The last three are only ever ends of a connection, see [`Reason::of_life`].
///
/// The numbers are places in the kernel side's counts, below [`Reason::ROOM`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Reason {
    /// Both sides closed, or the application gave the socket up before there was a connection.
    Normal = 0,
    /// The peer answered the SYN with a reset, or ICMP said that the port is closed.
    Refused = 1,
    /// Nothing was answered for too long.
    TimedOut = 2,
    /// The peer sent a reset.
    ResetReceived = 3,
    /// This side sent a reset.
    ResetSent = 4,
    /// ICMP said that the peer cannot be reached.
    Unreachable = 5,
    /// Every local port that could be used was taken.
    NoPort = 6,
    /// The application bound a local port, and another connection has the same four-tuple.
    TupleInUse = 7,
    /// `connect()` failed before a SYN was sent, for another reason: no route, or no memory.
    NotSent = 8,
    /// The application gave up after the SYN had been sent again without an answer.
    GaveUp = 9,
    /// An administrator destroyed the socket (`ss -K`).
    Killed = 10,
    /// The kernel's timer ended TIME_WAIT or FIN_WAIT_2.
    Timer = 11,
    /// A new connection took the four-tuple.
    Reused = 12,
    /// The listener was closed before the handshake was done.
    ListenerClosed = 13,
    /// The listener was closed before the application accepted the connection.
    NeverAccepted = 14,
    /// The network namespace went away.
    NetnsGone = 15,
    /// The kernel had no room for TIME_WAIT (`tcp_max_tw_buckets`, or memory): closed at once.
    TimeWaitOverflow = 16,
    /// Too many orphans (`tcp_max_orphans`) or no memory for sockets (`tcp_mem`).
    OutOfMemory = 17,
    /// A checkpoint took the connection away (`TCP_REPAIR`): nothing was sent.
    Repaired = 18,
    /// The application gave the socket up without a reset (`connect()` to `AF_UNSPEC`) while its last
    /// segments were not acknowledged.
    Abandoned = 19,
    /// Not known.
    Unknown = 20,
    /// The application gave up its attempt to connect before the first SYN was sent again.
    Canceled = 21,
    /// The handshake was not done when this end gave it up.
    HalfOpen = 22,
    /// The peer never closed its side after this end had closed.
    HalfClosed = 23,
}

impl Reason {
    /// Places for all of them; a power of two, so that a mask keeps a number inside.
    pub const ROOM: usize = 32;

    /// Those of a socket that entered CLOSED.
    pub const ALL: [Self; 21] = [
        Self::Normal,
        Self::Refused,
        Self::TimedOut,
        Self::ResetReceived,
        Self::ResetSent,
        Self::Unreachable,
        Self::NoPort,
        Self::TupleInUse,
        Self::NotSent,
        Self::GaveUp,
        Self::Killed,
        Self::Timer,
        Self::Reused,
        Self::ListenerClosed,
        Self::NeverAccepted,
        Self::NetnsGone,
        Self::TimeWaitOverflow,
        Self::OutOfMemory,
        Self::Repaired,
        Self::Abandoned,
        Self::Unknown,
    ];

    /// The word used in JSON and as a label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::ResetReceived => "reset_received",
            Self::ResetSent => "reset_sent",
            Self::Unreachable => "unreachable",
            Self::NoPort => "no_port",
            Self::TupleInUse => "tuple_in_use",
            Self::NotSent => "not_sent",
            Self::GaveUp => "gave_up",
            Self::Killed => "killed",
            Self::Timer => "timer",
            Self::Reused => "reused",
            Self::ListenerClosed => "listener_closed",
            Self::NeverAccepted => "never_accepted",
            Self::NetnsGone => "netns_gone",
            Self::TimeWaitOverflow => "time_wait_overflow",
            Self::OutOfMemory => "out_of_memory",
            Self::Repaired => "repaired",
            Self::Abandoned => "abandoned",
            Self::Unknown => "unknown",
            Self::Canceled => "canceled",
            Self::HalfOpen => "half_open",
            Self::HalfClosed => "half_closed",
        }
    }

    /// How a connection ended, from why it left its last state, the kernel's number `left`.
    #[must_use]
    pub const fn of_life(self, left: u8) -> Self {
        use crate::state::{SYN_RECV, SYN_SENT, TIME_WAIT};
        match (left, self) {
            // The connection is over when TIME_WAIT begins; nothing that ends it matters.
            (TIME_WAIT, _) | (_, Self::TimeWaitOverflow | Self::Reused) => Self::Normal,
            (SYN_SENT, Self::Normal) => Self::Canceled,
            (SYN_RECV, Self::TimedOut) => Self::HalfOpen,
            (_, Self::Timer) => Self::HalfClosed,
            (_, other) => other,
        }
    }

    /// Did something go wrong? An application that gives up at once has made up its mind, and what
    /// is not known is not called a failure.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Normal
            | Self::Canceled
            | Self::Timer
            | Self::Reused
            | Self::NetnsGone
            | Self::Repaired
            | Self::Unknown => false,
            Self::Refused
            | Self::TimedOut
            | Self::ResetReceived
            | Self::ResetSent
            | Self::Unreachable
            | Self::NoPort
            | Self::TupleInUse
            | Self::NotSent
            | Self::GaveUp
            | Self::Killed
            | Self::ListenerClosed
            | Self::NeverAccepted
            | Self::TimeWaitOverflow
            | Self::OutOfMemory
            | Self::Abandoned
            | Self::HalfOpen
            | Self::HalfClosed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{ESTABLISHED, FIN_WAIT_2, LAST_ACK, SYN_RECV, SYN_SENT, TIME_WAIT};

    #[test]
    #[expect(clippy::as_conversions, reason = "fieldless enums with explicit numbers")]
    fn every_reason_is_listed_at_its_number_and_has_a_place() {
        for (number, reason) in (0..).zip(Reason::ALL) {
            assert_eq!(reason as u32, number);
        }
        assert!((Reason::HalfClosed as usize) < Reason::ROOM);
    }

    #[test]
    fn the_state_that_was_left_and_the_reason_tell_how_a_connection_ended() {
        for (left, reason, end) in [
            (LAST_ACK, Reason::Normal, Reason::Normal),
            (FIN_WAIT_2, Reason::TimeWaitOverflow, Reason::Normal),
            (TIME_WAIT, Reason::Timer, Reason::Normal),
            (TIME_WAIT, Reason::ResetReceived, Reason::Normal),
            (TIME_WAIT, Reason::Killed, Reason::Normal),
            (TIME_WAIT, Reason::Unknown, Reason::Normal),
            (FIN_WAIT_2, Reason::Reused, Reason::Normal),
            (SYN_SENT, Reason::Normal, Reason::Canceled),
            (SYN_SENT, Reason::GaveUp, Reason::GaveUp),
            (SYN_SENT, Reason::TimedOut, Reason::TimedOut),
            (SYN_RECV, Reason::TimedOut, Reason::HalfOpen),
            (SYN_RECV, Reason::Unreachable, Reason::Unreachable),
            (FIN_WAIT_2, Reason::Timer, Reason::HalfClosed),
            (FIN_WAIT_2, Reason::ResetSent, Reason::ResetSent),
            (ESTABLISHED, Reason::NetnsGone, Reason::NetnsGone),
        ] {
            assert_eq!(reason.of_life(left), end, "{left} {}", reason.word());
        }
    }

    #[test]
    fn an_end_that_somebody_wanted_or_nobody_knows_is_no_failure() {
        let fine = [
            Reason::Normal,
            Reason::Canceled,
            Reason::Timer,
            Reason::Reused,
            Reason::NetnsGone,
            Reason::Repaired,
            Reason::Unknown,
        ];
        let ends =
            Reason::ALL.iter().chain(&[Reason::Canceled, Reason::HalfOpen, Reason::HalfClosed]);
        for end in ends {
            assert_eq!(end.is_failure(), !fine.contains(end), "{}", end.word());
        }
    }
}
