//! Why a connection ended, and where the kernel's report of its end has to be put right.

use crate::event::{ResetDirection, StateEvent, TcpState};

/// Why a socket entered CLOSED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Both sides closed, or the application gave the socket up before there was a connection.
    Normal,
    /// The peer answered the SYN with a reset.
    Refused,
    /// Nothing was answered for too long.
    TimedOut,
    /// The peer sent a reset.
    ResetReceived,
    /// This side sent a reset.
    ResetSent,
    /// The network said that the peer cannot be reached.
    Unreachable,
    /// Every local port that could be used was taken.
    NoPort,
    /// An administrator destroyed the socket (`ss -K`).
    Killed,
    /// The kernel's timer ended TIME_WAIT or FIN_WAIT_2.
    Timer,
    /// A new connection took the four-tuple.
    Reused,
    /// The listener was closed before the handshake was done.
    ListenerClosed,
    /// The network namespace went away.
    NetnsGone,
    /// The kernel had no room for TIME_WAIT (`tcp_max_tw_buckets`, or memory): closed at once.
    TimeWaitOverflow,
    /// Nothing tells.
    Unknown,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Normal,
        Self::Refused,
        Self::TimedOut,
        Self::ResetReceived,
        Self::ResetSent,
        Self::Unreachable,
        Self::NoPort,
        Self::Killed,
        Self::Timer,
        Self::Reused,
        Self::ListenerClosed,
        Self::NetnsGone,
        Self::TimeWaitOverflow,
        Self::Unknown,
    ];

    /// The word used in JSON.
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
            Self::Killed => "killed",
            Self::Timer => "timer",
            Self::Reused => "reused",
            Self::ListenerClosed => "listener_closed",
            Self::NetnsGone => "netns_gone",
            Self::TimeWaitOverflow => "time_wait_overflow",
            Self::Unknown => "unknown",
        }
    }
}

/// The state a socket really enters, and why if that is CLOSED.
///
/// The kernel replaces a full socket by a mini-socket without a word and then reports CLOSED for the
/// full one (`tcp_time_wait` in `net/ipv4/tcp_minisocks.c`). Where the mini-sockets' timers are
/// watched, that burial never comes here; a CLOSED that does is an end. Where they are not, the
/// connection is in TIME_WAIT if the peer's FIN has come, and stays in FIN_WAIT_2 if not.
pub(super) fn of_change(
    event: &StateEvent,
    reset: Option<ResetDirection>,
    minis: bool,
) -> (TcpState, Option<Reason>) {
    let burial = matches!(event.from, TcpState::FinWait2 | TcpState::Closing)
        && event.to == TcpState::Closed
        && event.error == 0;
    match (event.to, burial, event.peer_finished) {
        (TcpState::Closed, true, true) if !minis => (TcpState::TimeWait, None),
        (TcpState::Closed, true, false) if !minis && event.orphaned => (event.from, None),
        // Or the ACK of the FIN came while close() was at work: then the full socket waits, and
        // resets when its time is over (tcp_keepalive_timer in net/ipv4/tcp_timer.c).
        (TcpState::Closed, true, false)
            if event.no_fin_wait || reset == Some(ResetDirection::Sent) =>
        {
            (TcpState::Closed, Some(Reason::ResetSent))
        }
        (TcpState::Closed, true, _) if event.peer_finished || event.orphaned => {
            (TcpState::Closed, Some(Reason::TimeWaitOverflow))
        }
        (TcpState::Closed, ..) => (TcpState::Closed, Some(of_end(event, reset))),
        (to, ..) => (to, None),
    }
}

/// Why the socket entered CLOSED, from the kernel's error, the state that was left and a reset that
/// was seen. The kernel's error for a reset does not tell who sent it.
fn of_end(event: &StateEvent, reset: Option<ResetDirection>) -> Reason {
    match i32::from(event.error) {
        0 | libc::ECONNRESET | libc::EPIPE if reset == Some(ResetDirection::Received) => {
            Reason::ResetReceived
        }
        0 | libc::ECONNRESET | libc::EPIPE if event.reset_sent => Reason::ResetSent,
        0 => without_error(event),
        libc::ECONNREFUSED => Reason::Refused,
        libc::ETIMEDOUT => Reason::TimedOut,
        // EPIPE is what a reset becomes in CLOSE_WAIT (tcp_reset in net/ipv4/tcp_input.c).
        libc::ECONNRESET | libc::EPIPE => Reason::ResetReceived,
        // tcp_abort() in net/ipv4/tcp.c.
        libc::ECONNABORTED => Reason::Killed,
        libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENETDOWN
        | libc::ENOPROTOOPT
        | libc::EPROTO
        | libc::EMSGSIZE => Reason::Unreachable,
        _ => Reason::Unknown,
    }
}

fn without_error(event: &StateEvent) -> Reason {
    match event.from {
        // connect() fails with EADDRNOTAVAIL (inet_hash_connect() in tcp_v4_connect()).
        TcpState::SynSent if event.ends.local.port == 0 => Reason::NoPort,
        // The application closed a listener or gave up a connection attempt, or both sides closed.
        TcpState::Listen | TcpState::SynSent | TcpState::LastAck => Reason::Normal,
        // close() with unread data or with SO_LINGER 0: tcp_disconnect() and __tcp_close() reset.
        TcpState::Established | TcpState::CloseWait | TcpState::SynRecv => Reason::ResetSent,
        _ => Reason::Unknown,
    }
}
