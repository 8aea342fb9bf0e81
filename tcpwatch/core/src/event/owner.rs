//! A process was seen to hold a socket.

use super::{Cookie, Endpoints, KernelTime, Netns, Process};

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
    /// Which process, and by what call.
    pub process: Process,
}
