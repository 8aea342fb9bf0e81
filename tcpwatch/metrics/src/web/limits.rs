//! Limits on clients.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at a time. The kernel's accept queue holds some more.
    pub connections: usize,
    /// From the start of a connection, or from the last response, to the end of the request's header.
    pub ask: Duration,
    /// To make the page, including the wait for the previous page.
    pub make: Duration,
    /// From the first byte of a response that did not fit into the peer's window to its last byte.
    pub take: Duration,
    /// From the stop request to the end of the responses in progress.
    pub stop: Duration,
}

impl Default for Limits {
    /// 512 connections, or half of this process's limit of descriptors; 25 s for a request, 30 s each to make and to
    /// transfer a response, 3 s to stop.
    fn default() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self {
            connections: usize::try_from(descriptors / 2).map_or(512, |half| half.clamp(1, 512)),
            ask: Duration::from_secs(25),
            make: Duration::from_secs(30),
            take: Duration::from_secs(30),
            stop: Duration::from_secs(3),
        }
    }
}
