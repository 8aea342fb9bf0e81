//! [`ListenerQueue`] becomes [`QueueEvent`].

use tcpwatch_common::{
    ListenerQueue,
    listener_queue::{FLAG_ACCEPTED, FLAG_ACK_DROPPED},
};

use super::{Decode, DecodeError, Names, address};
use crate::event::{Cookie, Endpoint, KernelTime, Netns, QueueEvent, listener_queue};

/// `AF_INET`.
const FAMILY_INET: u16 = 2;

impl<const WORDS: usize> Decode for ListenerQueue<WORDS> {
    type Event = QueueEvent;

    fn decode(&self, _names: &Names) -> Result<QueueEvent, DecodeError> {
        let Self {
            head,
            listener,
            waiting,
            most,
            half_open,
            dropped,
            address: [first, ..],
            port,
            family,
            hook: _,
            local,
            remote,
        } = *self;
        let bound = match family {
            FAMILY_INET => address::address([first]),
            _ => address::address(self.address),
        };
        Ok(QueueEvent {
            at: KernelTime(head.at_ns),
            socket: address::cookie(&head),
            netns: Netns(head.netns),
            ends: address::ends(&head, local, remote),
            queue: listener_queue::QueueReading {
                listener: (listener != 0).then_some(Cookie(listener)),
                bound_to: Endpoint { address: bound, port },
                waiting,
                most,
                half_open,
                dropped,
                ack_dropped: head.flags & FLAG_ACK_DROPPED != 0,
                accepted: head.flags & FLAG_ACCEPTED != 0,
            },
        })
    }
}
