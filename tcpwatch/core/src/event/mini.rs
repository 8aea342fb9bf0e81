//! The life of a mini-socket, as the events of its timer show it.

pub use tcpwatch_common::{EarlyEnd, MiniKind, TimerEvent};

use super::{CgroupId, Cookie, Endpoints, KernelTime, Netns, TcpState};

/// A moment on the kernel's coarse clock, in ticks since it booted (`jiffies_64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jiffies(pub u64);

/// Something happened to a mini-socket's timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiniEvent {
    /// When.
    pub at: KernelTime,
    /// The cookie, if anybody has asked for one; a timewait socket has that of its full socket.
    pub socket: Option<Cookie>,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// The cgroup of a half-open connection's listener, with the start of its timer.
    pub cgroup: Option<CgroupId>,
    /// The listener of a half-open connection, with the start of its timer.
    pub listener: Option<Cookie>,
    /// Segments that this listener has dropped since it was made, for whatever reason; 0 without a listener.
    pub listener_dropped: u32,
    /// What it is.
    pub kind: MiniKind,
    /// Its state.
    pub state: TcpState,
    /// What happened.
    pub timer: TimerEvent,
    /// When the timer is due; it never fires earlier.
    pub due: Jiffies,
    /// The moment of this event on the same clock.
    pub tick: Jiffies,
    /// What ended it, if it was disarmed early and that is known.
    pub ended_by: Option<EarlyEnd>,
    /// Does a half-open connection's listener listen while its timer fires? `None` if the record does not
    /// say.
    pub listens: Option<bool>,
    /// Whether a half-open connection's timer is armed that has not fired yet, as far as the record says.
    pub not_fired: bool,
    /// The state that the full socket was in when a timewait socket took over, as its last change reports
    /// right after.
    pub replaces: Option<TcpState>,
}
