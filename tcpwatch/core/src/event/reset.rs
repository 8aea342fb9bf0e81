//! A reset.

use std::sync::Arc;

use super::{CgroupId, Cookie, Endpoints, KernelTime, Netns, TcpState};

/// Which way a reset went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetDirection {
    /// This host sent it.
    Sent,
    /// The peer sent it.
    Received,
}

/// A reset was sent, or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetEvent {
    /// When.
    pub at: KernelTime,
    /// Which socket; `None` where no connection's socket is concerned, as for a closed port.
    pub socket: Option<Cookie>,
    /// In which network namespace.
    pub netns: Netns,
    /// The two ends.
    pub ends: Endpoints,
    /// The socket's cgroup, where the kernel side names it.
    pub cgroup: Option<CgroupId>,
    /// The socket's state; `None` without a socket.
    pub state: Option<TcpState>,
    /// Which way.
    pub direction: ResetDirection,
    /// It answers a segment that is no SYN; false also where that is not known.
    pub answers_no_syn: bool,
    /// The kernel's reason, where it reports one (sent, since 6.10).
    pub why: Option<Arc<str>>,
}
