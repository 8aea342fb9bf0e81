//! What the tracker tells: changes of state, clocks that started again, and why: retries, resets,
//! errors.

use std::{sync::Arc, time::Duration};

use super::{Connection, Dropped, Existing, Others, Reason, Still};
use crate::{
    event::{
        CgroupId, Cookie, Direction, Endpoints, KernelTime, ListenerQueue, Netns, Process,
        ResetDirection, Segment, SegmentEvent, TcpState,
    },
    timing::Next,
};

/// Whose news it is: the part that does not change from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which socket; `None` for a mini-socket whose cookie nobody has asked for.
    pub socket: Option<Cookie>,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// Its cgroup; of an accepted connection that of its listener.
    pub cgroup: Option<CgroupId>,
    /// Who connected to whom; `None` for listeners and when nothing tells.
    pub direction: Option<Direction>,
    /// The owner.
    pub process: Option<Process>,
    /// The owner is that of the listener that accepted the connection.
    pub inherited: bool,
}

impl Subject {
    /// Nothing is known but the two ends, and the socket if there is one.
    #[must_use]
    pub const fn unknown(socket: Option<Cookie>, netns: Netns, ends: Endpoints) -> Self {
        Self { socket, netns, ends, cgroup: None, direction: None, process: None, inherited: false }
    }
}

/// A change of a socket's state, with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the change")]
pub struct Change {
    /// When, by the kernel's clock.
    pub at: KernelTime,
    /// Whose.
    pub subject: Subject,
    /// State that was left.
    pub from: TcpState,
    /// State that was entered.
    pub to: TcpState,
    /// How long the left state lasted; `None` if its beginning was not seen.
    pub in_state: Option<Duration>,
    /// Why, on the way to CLOSED.
    pub reason: Option<Reason>,
    /// The socket was reset because data came after the application had closed it.
    pub late_data: bool,
    /// When the kernel's timer will end the entered state, if nothing else does before.
    pub ends_at: Option<KernelTime>,
    /// Learned by asking the kernel: the moment is exact to one of its ticks.
    pub asked: bool,
    /// How the handshake was done, on the way to ESTABLISHED, if not in the usual way.
    pub handshake: Option<Handshake>,
    /// The queues of the listener, where there is something to be said of them.
    pub queue: Option<Box<ListenerQueue>>,
    /// When a SYN comes through, what its listener has dropped since the one before.
    pub dropped: Option<Dropped>,
    /// The kernel did not report this change when it happened; it follows from what it reported
    /// later.
    pub inferred: bool,
    /// Other states may lie between the two: what would say which was missed.
    pub gap: bool,
}

impl Change {
    /// A change from `from`, entered at `since`, to `to`, about which nothing else is known.
    #[must_use]
    pub fn plain(
        at: KernelTime,
        subject: Subject,
        (from, since): (TcpState, Option<KernelTime>),
        to: TcpState,
    ) -> Self {
        Self {
            at,
            subject,
            from,
            to,
            in_state: since.map(|since| at.since(since)),
            reason: None,
            late_data: false,
            ends_at: None,
            asked: false,
            handshake: None,
            queue: None,
            dropped: None,
            inferred: false,
            gap: false,
        }
    }
}

/// A handshake without a request socket, so that nothing was half-open in the usual way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The SYN brought data, and the server took them.
    FastOpen,
    /// The kernel kept no state until the final ACK: how long that took is not known.
    SynCookie,
}

impl Handshake {
    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FastOpen => "fast_open",
            Self::SynCookie => "syn_cookie",
        }
    }
}

/// The kernel started the timer of a state, again or at last; the state goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When.
    pub at: KernelTime,
    /// Whose.
    pub subject: Subject,
    /// The state.
    pub state: TcpState,
    /// How long it had lasted by then.
    pub in_state: Option<Duration>,
    /// When the timer will end it now.
    pub ends_at: Option<KernelTime>,
    /// It had no timer before: a socket was in FIN_WAIT_2 after `shutdown()`, and now the application has
    /// closed it.
    pub starts: bool,
    /// Not reported when it happened: it follows from the end.
    pub inferred: bool,
}

/// A segment was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retransmit {
    /// When.
    pub at: KernelTime,
    /// Whose.
    pub subject: Subject,
    /// In which state.
    pub state: TcpState,
    /// What was sent.
    pub segment: Segment,
    /// Which one without an answer, from 1.
    pub attempt: u32,
    /// No timer ran out: a tail loss probe, a fast retransmission, or a SYN that came again.
    pub early: bool,
    /// Time since the segment was sent last, if that was seen.
    pub since_last: Option<Duration>,
    /// The timeout that has passed, as the kernel set it.
    pub expected: Option<Duration>,
    /// What follows if no answer comes.
    pub next: Option<Next>,
    /// Of a SYN, after how many attempts the kernel gives up.
    pub most: Option<u32>,
    /// The network below took it.
    pub sent: bool,
    /// Of a half-open connection, the queues of the listener, where there is something to be said of them.
    pub queue: Option<Box<ListenerQueue>>,
}

/// A reset was sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When.
    pub at: KernelTime,
    /// Whose.
    pub subject: Subject,
    /// In which state; `None` without a socket.
    pub state: Option<TcpState>,
    /// Which way.
    pub direction: ResetDirection,
    /// The kernel's reason, where it tells one.
    pub why: Option<Arc<str>>,
}

/// The application will see an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketError {
    /// When.
    pub at: KernelTime,
    /// Whose.
    pub subject: Subject,
    /// In which state.
    pub state: TcpState,
    /// A positive errno.
    pub error: u16,
}

/// A piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A change of state.
    Change(Change),
    /// A socket that existed before.
    Existing(Existing),
    /// A socket that stays in a state.
    Still(Box<Still>),
    /// More of one kind that do.
    Others(Others),
    /// A clock that started again.
    Restart(Restart),
    /// A segment that was sent again.
    Retransmit(Retransmit),
    /// A reset.
    Reset(Reset),
    /// An error for the application.
    Error(SocketError),
    /// A connection whose last trace is gone.
    Connection(Box<Connection>),
    /// A segment on a link of the laboratory.
    Segment(Box<SegmentEvent>),
}

impl News {
    /// When it happened; of a connection's life, when its last trace was gone.
    #[must_use]
    pub const fn at(&self) -> KernelTime {
        match self {
            Self::Change(change) => change.at,
            Self::Existing(existing) => existing.at,
            Self::Still(still) => still.at,
            Self::Others(others) => others.at,
            Self::Restart(restart) => restart.at,
            Self::Retransmit(again) => again.at,
            Self::Reset(reset) => reset.at,
            Self::Error(error) => error.at,
            Self::Connection(connection) => connection.at,
            Self::Segment(segment) => segment.at,
        }
    }

    /// Whose news it is. A link knows no sockets: nobody's is a segment.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Change(change) => change.subject,
            Self::Existing(existing) => existing.subject,
            Self::Still(still) => still.subject,
            Self::Others(others) => others.subject(),
            Self::Restart(restart) => restart.subject,
            Self::Retransmit(again) => again.subject,
            Self::Reset(reset) => reset.subject,
            Self::Error(error) => error.subject,
            Self::Connection(connection) => connection.subject,
            Self::Segment(segment) => Subject::unknown(None, segment.netns, segment.ends),
        }
    }

    /// Is it marked as inferred?
    #[must_use]
    pub const fn is_inferred(&self) -> bool {
        match self {
            Self::Change(change) => change.inferred,
            Self::Restart(restart) => restart.inferred,
            Self::Existing(_)
            | Self::Still(_)
            | Self::Others(_)
            | Self::Retransmit(_)
            | Self::Reset(_)
            | Self::Error(_)
            | Self::Connection(_)
            | Self::Segment(_) => false,
        }
    }

    /// Does it concern this state?
    #[must_use]
    pub fn touches(&self, state: TcpState) -> bool {
        match self {
            Self::Change(change) => change.from == state || change.to == state,
            Self::Existing(existing) => existing.state == state,
            Self::Still(still) => still.state == state,
            Self::Others(others) => others.state == state,
            Self::Restart(restart) => restart.state == state,
            Self::Retransmit(again) => again.state == state,
            Self::Reset(reset) => reset.state == Some(state),
            Self::Error(error) => error.state == state,
            Self::Connection(connection) => connection.spent.time_in(state).is_some(),
            Self::Segment(_) => false,
        }
    }
}
