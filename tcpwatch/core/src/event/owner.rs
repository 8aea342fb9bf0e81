//! A process was seen to hold a socket.

use super::{CgroupId, Cookie, Endpoints, KernelTime, Netns, Process};

/// A process has made a system call on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerEvent {
    /// When.
    pub at: KernelTime,
    /// Which socket.
    pub socket: Cookie,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// The socket's cgroup, where the kernel side names it.
    pub cgroup: Option<CgroupId>,
    /// Which process, and by what call.
    pub process: Process,
}
