//! Members about the queues of a listener.

use std::net::IpAddr;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::event::{Cookie, QueueReading};

/// The queues of a half-open connection's listener, as they were read at the moment of the line. Only where the
/// accept queue is full or this connection takes its last place, where there are as many half-open connections
/// as the listener lets be, or with `ack_dropped`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename = "listener"))]
pub(super) struct QueuesJson {
    /// Its cookie; null where nobody has asked for it.
    #[cfg_attr(test, schemars(range(min = 1)))]
    socket: Option<u64>,
    /// Unspecified when there is none.
    #[cfg_attr(test, schemars(with = "String"))]
    addr: IpAddr,
    /// 0 when there is none, or when the kernel has not chosen it yet.
    port: u16,
    /// Connections that waited to be accepted, this one not among them.
    #[cfg_attr(test, schemars(with = "u64"))]
    accept_queue: u32,
    /// The smaller of the argument of `listen()` and somaxconn; also the limit of half-open connections. One
    /// connection more is let in.
    #[cfg_attr(test, schemars(with = "u64"))]
    accept_queue_max: u32,
    /// More waited than that: SYNs and the last ACKs of handshakes are dropped. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    accept_queue_full: bool,
    /// With this connection the accept queue is full. Absent means false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    last_place: bool,
    /// Half-open connections.
    #[cfg_attr(test, schemars(with = "u64"))]
    syn_queue: u32,
    /// Segments that the listener had dropped since it was made, for whatever reason; what ss -m shows as d.
    #[cfg_attr(test, schemars(with = "u64"))]
    dropped: u32,
}

impl QueuesJson {
    pub(super) fn of(queue: &QueueReading) -> Self {
        let QueueReading {
            listener,
            bound_to,
            waiting,
            most,
            half_open,
            dropped,
            ack_dropped: _,
            accepted: _,
        } = *queue;
        Self {
            socket: listener.map(|Cookie(number)| number),
            addr: bound_to.address,
            port: bound_to.port,
            accept_queue: waiting,
            accept_queue_max: most,
            accept_queue_full: queue.is_full(),
            last_place: queue.is_last_place(),
            syn_queue: half_open,
            dropped,
        }
    }
}

/// Was the last ACK dropped?
pub(super) fn ack_dropped(queue: Option<&QueueReading>) -> bool {
    queue.is_some_and(|queue| queue.ack_dropped)
}
