//! How much and how long: what a client may ask of the server.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at a time. The kernel's queue holds some more until they are accepted.
    pub connections: usize,
    /// From the start of a connection, or from the last answer, to the end of the request's header.
    pub ask: Duration,
    /// Making the page, with the wait for the page before it.
    pub make: Duration,
    /// From the first byte of an answer that the peer's window had no room for to its last byte.
    pub take: Duration,
    /// From the word to stop to the end of what is in flight.
    pub stop: Duration,
}

impl Default for Limits {
    /// 512 connections, or half of the file descriptors this process may have; 25 s to ask, 30 s
    /// each to make and to take an answer, 3 s to stop.
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
