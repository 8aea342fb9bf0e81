//! [`ListenerQueue`] becomes [`QueueEvent`].

use std::net::IpAddr;

use tcpwatch_common::{
    ListenerQueue, RecordHead,
    listener_queue::{FLAG_ACCEPTED, FLAG_ACK_DROPPED},
};

use super::{DecodeError, address, record};
use crate::event::{Cookie, Endpoint, KernelTime, Netns, QueueEvent, listener_queue};

/// `AF_INET`.
const FAMILY_INET: u16 = 2;

pub(super) fn decode(bytes: &[u8], head: &RecordHead) -> Result<QueueEvent, DecodeError> {
    if let Some(record) = record::whole::<ListenerQueue<1>>(bytes) {
        return Ok(event(&record, address::v4(record.local), address::v4(record.remote)));
    }
    if let Some(record) = record::whole::<ListenerQueue<4>>(bytes) {
        return Ok(event(&record, address::v6(record.local), address::v6(record.remote)));
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

fn event<const WORDS: usize>(
    record: &ListenerQueue<WORDS>,
    local: IpAddr,
    remote: IpAddr,
) -> QueueEvent {
    let ListenerQueue {
        head,
        listener,
        waiting,
        most,
        half_open,
        dropped,
        address,
        port,
        family,
        hook: _,
        local: _,
        remote: _,
    } = *record;
    let bound = match family {
        FAMILY_INET => address::v4([address[0]]),
        _ => address::v6(address),
    };
    QueueEvent {
        at: KernelTime(head.at_ns),
        socket: address::cookie(&head),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        queue: listener_queue::ListenerQueue {
            listener: (listener != 0).then_some(Cookie(listener)),
            bound_to: Endpoint { address: bound, port },
            waiting,
            most,
            half_open,
            dropped,
            ack_dropped: head.flags & FLAG_ACK_DROPPED != 0,
            accepted: head.flags & FLAG_ACCEPTED != 0,
        },
    }
}
