//! A segment that was sent again.

use std::time::Duration;

use super::{CgroupId, Cookie, Endpoints, Jiffies, KernelTime, Netns, TcpState};

/// What was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SegmentKind {
    /// The SYN of a connect.
    Syn,
    /// The answer to a SYN.
    SynAck,
    /// A FIN alone.
    Fin,
    /// Data, the last of them perhaps with the FIN.
    Data,
}

impl SegmentKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Syn, Self::SynAck, Self::Fin, Self::Data];

    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Fin => "fin",
            Self::Data => "data",
        }
    }
}

/// A segment was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetransmitEvent {
    /// When.
    pub at: KernelTime,
    /// Which socket; `None` for a half-open connection that has no cookie yet.
    pub socket: Option<Cookie>,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// The socket's cgroup, where the kernel side names it.
    pub cgroup: Option<CgroupId>,
    /// Its state.
    pub state: TcpState,
    /// What was sent.
    pub segment: SegmentKind,
    /// What made the kernel send it.
    pub trigger: Trigger,
    /// `TCP_USER_TIMEOUT`, if the application set one.
    pub user_timeout: Option<Duration>,
    /// `TCP_SYNCNT`, if the application set one on this socket or on the listener.
    pub syn_retries: Option<u8>,
    /// The application has let go of the socket.
    pub orphan: bool,
    /// The network below took it.
    pub sent: bool,
    /// It did not, and the kernel counts it as sent again for all that.
    pub counted: bool,
    /// Of a half-open connection, when its timer was armed and when it is due; reported right after.
    pub timer: Option<(Jiffies, Jiffies)>,
    /// Of a full socket, the times of the segment.
    pub times: Option<SegmentTimes>,
}

/// Which segment of a full socket was sent again, and its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentTimes {
    /// When it was sent last before; `None` if that could not be read.
    pub sent_before: Option<KernelTime>,
    /// When the socket's timer was due that was armed last.
    pub due: Jiffies,
    /// The kernel's tick at the time of the event.
    pub tick: Jiffies,
    /// Its sequence number.
    pub seq: u32,
}

/// What made the kernel send a segment again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The retransmission timer, for the `in_a_row`th time without an answer.
    Timeout {
        /// This one included, from 1.
        in_a_row: u8,
        /// Ticks of the retransmission timeout (`icsk_rto`) that has just passed.
        rto: u32,
    },
    /// No timeout: a tail loss probe, or acknowledgments that leave a gap (fast retransmission).
    Early {
        /// Ticks of the retransmission timeout that runs from now on.
        rto: u32,
    },
    /// The timer of a half-open connection, for the `in_a_row`th time.
    RequestTimeout {
        /// This one included, from 1.
        in_a_row: u8,
    },
    /// A SYN of a half-open connection came again: its SYN+ACK may be lost.
    SynCameAgain,
}
