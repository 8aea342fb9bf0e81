//! Says what the queues of a half-open connection's listener are like where that is worth a word: the
//! accept queue is full, or the connection takes its last place; the queue of half-open connections has no
//! room; the last segment of the handshake has come and was dropped. Emits [`ListenerQueue`].
//!
//! All is read at the moment that is reported. A SYN that is dropped makes no half-open connection, and no
//! hook runs then: [`tcpwatch_common::MiniSocket::listener_dropped`] of the next one that is not dropped.

use tcpwatch_common::{
    ListenerQueue, RecordHead, RecordKind,
    counter::Hook,
    listener_queue::{FLAG_ACCEPTED, FLAG_ACK_DROPPED},
};

use crate::{
    emit::{self, EmitFailure},
    kernel::{Addresses, ListenerQueues, ListenerSock, Request},
};

/// What happens to a half-open connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HalfOpenStep {
    /// It is put into the accept queue.
    Accepted,
    /// It stays, or ends.
    Waits,
}

/// Emits the record if there is something to be said. `head` and `addresses` are those of the record that
/// follows.
#[inline(always)]
pub(crate) fn tell(
    (request, listener): (Request, ListenerSock),
    head: &RecordHead,
    addresses: &Addresses,
    moment: HalfOpenStep,
    hook: Hook,
) -> Result<(), EmitFailure> {
    let Some(ListenerQueues { waiting, most }) = listener.queues() else { return Ok(()) };
    let ack_dropped = request.acked() && !listener.defers();
    let is_accepted = moment as u8 == HalfOpenStep::Accepted as u8;
    let worth =
        if is_accepted { waiting >= most } else { waiting > most || is_crowded(listener, most) };
    if !worth && !ack_dropped {
        return Ok(());
    }
    emit::attempt(hook);
    let accepted = if is_accepted { FLAG_ACCEPTED } else { 0 };
    let flags = accepted | if ack_dropped { FLAG_ACK_DROPPED } else { 0 };
    let kind = RecordKind::ListenerQueue as u8;
    let head = RecordHead { kind, flags, cgroup: 0, ..*head };
    let queues = ListenerQueues { waiting, most };
    match *addresses {
        Addresses::V4 { local, remote } => {
            emit((listener, queues), emit::v4(head), (local, remote), hook)
        }
        Addresses::V6 { local, remote } => {
            emit((listener, queues), emit::v6(head), (local, remote), hook)
        }
    }
}

/// Are there so many half-open connections that the kernel drops SYNs, or answers them with cookies
/// (`inet_csk_reqsk_queue_is_full` in `include/net/inet_connection_sock.h`; one less is enough in older kernels)?
#[inline(always)]
fn is_crowded(listener: ListenerSock, most: u32) -> bool {
    listener.half_open() >= most
}

/// The record is put together in the ring.
#[inline(always)]
fn emit<const WORDS: usize>(
    (listener, queues): (ListenerSock, ListenerQueues),
    head: RecordHead,
    (local, remote): ([u32; WORDS], [u32; WORDS]),
    hook: Hook,
) -> Result<(), EmitFailure> {
    let mut entry = emit::reserve::<ListenerQueue<WORDS>>()?;
    let family = listener.family();
    entry.write(ListenerQueue {
        head,
        listener: listener.cookie(),
        waiting: queues.waiting,
        most: queues.most,
        half_open: listener.half_open(),
        dropped: listener.dropped(),
        address: listener.address(family),
        port: listener.port(),
        family,
        hook: hook as u32,
        local,
        remote,
    });
    emit::hand_over(entry);
    Ok(())
}
