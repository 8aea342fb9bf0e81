//! What a listener's queues were like at a moment of a half-open connection.
//!
//! Producer: `tcpwatch-ebpf/src/listener_queue.rs`. Consumer: `tcpwatch/core/src/decode/listener_queue.rs`.

use crate::record::RecordHead;

/// [`RecordHead::flags`]: the connection leaves the half-open ones at this moment for the accept queue, in
/// which it is not counted yet (`inet_csk_complete_hashdance` in `net/ipv4/inet_connection_sock.c`).
pub const FLAG_ACCEPTED: u16 = 1 << 0;
/// [`RecordHead::flags`]: the last segment of the handshake has come and was dropped (`acked` of `struct
/// inet_request_sock`, set by `tcp_check_req` in `net/ipv4/tcp_minisocks.c`), and the listener has not
/// asked for that by `TCP_DEFER_ACCEPT`.
pub const FLAG_ACK_DROPPED: u16 = 1 << 1;

/// The queues of the listener of a half-open connection, read at one moment. Emitted where there is
/// something to be said of them only; a record of its own, before that of what happens to the connection.
///
/// [`RecordHead::cookie`] is 0 if the request socket has no cookie yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ListenerQueue<const WORDS: usize> {
    /// Time, socket, namespace, ports of the half-open connection.
    pub head: RecordHead,
    /// Cookie of the listener; 0 if it has none yet (cookies are given on request).
    pub listener: u64,
    /// Connections that wait to be accepted (`sk_ack_backlog`).
    pub waiting: u32,
    /// The smaller of the argument of `listen()` and `somaxconn` (`sk_max_ack_backlog`). The accept queue is
    /// full when more than that wait (`sk_acceptq_is_full` in `include/net/sock.h`).
    pub most: u32,
    /// Half-open connections (`icsk_accept_queue.qlen`).
    pub half_open: u32,
    /// Segments that the listener has dropped since it was made (`sk_drops`).
    pub dropped: u32,
    /// Address that the listener is bound to, in network order; IPv4 in the first word.
    pub address: [u32; 4],
    /// Port of the listener.
    pub port: u16,
    /// `AF_INET` or `AF_INET6`: the family of the listener's socket.
    pub family: u16,
    /// Number of the [`crate::counter::Hook`] that read it.
    pub hook: u32,
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

const _: () = {
    assert!(size_of::<ListenerQueue<1>>() == 88, "IPv4 record");
    assert!(size_of::<ListenerQueue<4>>() == 112, "IPv6 record");
    assert!(core::mem::offset_of!(ListenerQueue<1>, remote) + 4 == 88, "no tail padding");
    assert!(core::mem::offset_of!(ListenerQueue<4>, remote) + 16 == 112, "no tail padding");
};
