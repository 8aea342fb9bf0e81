//! What the queues of a listener were like at a moment of a half-open connection.

use super::{Cookie, Endpoint, Endpoints, KernelTime, Netns};

/// A listener's queues, as they were read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReading {
    /// The listener's cookie, if anybody has asked for it.
    pub listener: Option<Cookie>,
    /// What the listener is bound to.
    pub bound_to: Endpoint,
    /// Connections that waited to be accepted.
    pub waiting: u32,
    /// The smaller of the argument of `listen()` and `somaxconn`; one more is let in.
    pub most: u32,
    /// Half-open connections.
    pub half_open: u32,
    /// Segments that the listener had dropped since it was made, for whatever reason.
    pub dropped: u32,
    /// The last segment of the connection's handshake had come before and was dropped.
    pub ack_dropped: bool,
    /// The connection was put into the accept queue at this moment, and is not counted in `waiting`.
    pub accepted: bool,
}

impl QueueReading {
    /// Nothing more was let in: the kernel's own comparison (`sk_acceptq_is_full` in `include/net/sock.h`).
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.waiting > self.most
    }

    /// With this connection nothing more was let in.
    #[must_use]
    pub const fn is_last_place(&self) -> bool {
        self.accepted && self.waiting == self.most
    }

    /// There were as many half-open connections as the kernel lets be, or nearly
    /// (`inet_csk_reqsk_queue_is_full` in `include/net/inet_connection_sock.h`).
    #[must_use]
    pub const fn is_crowded(&self) -> bool {
        !self.accepted && self.half_open >= self.most
    }
}

/// The queues of a half-open connection's listener were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEvent {
    /// When.
    pub at: KernelTime,
    /// The cookie of the half-open connection, if anybody has asked for it.
    pub socket: Option<Cookie>,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// What was read.
    pub queue: QueueReading,
}
