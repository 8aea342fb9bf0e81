//! A segment that was sent again.
//!
//! Producers: `tcpwatch-ebpf/src/tcp_retransmit_skb.rs` and `tcp_retransmit_synack.rs`. Consumer:
//! `tcpwatch/core/src/decode/retransmit.rs`.

use crate::record::RecordHead;

/// [`RecordHead::flags`]: the segment could not be handed to the network (since 6.17 the tracepoint
/// tells; before, it does not fire then).
pub const FLAG_NOT_SENT: u16 = 1 << 0;
/// [`RecordHead::flags`]: a SYN+ACK of a half-open connection.
pub const FLAG_REQUEST: u16 = 1 << 1;
/// [`RecordHead::flags`]: the application has let go of the socket (`SOCK_DEAD`).
pub const FLAG_ORPHAN: u16 = 1 << 2;
/// [`RecordHead::flags`]: of a half-open connection, and not its timer but a SYN that came again made
/// the kernel send it.
pub const FLAG_SYN_CAME_AGAIN: u16 = 1 << 3;

/// TCP flags of a segment, as in its header.
pub const TCP_FIN: u8 = 1 << 0;
/// See [`TCP_FIN`].
pub const TCP_SYN: u8 = 1 << 1;
/// See [`TCP_FIN`].
pub const TCP_ACK: u8 = 1 << 4;

/// One retransmission. [`RecordHead::cookie`] is 0 for a half-open connection whose cookie nobody
/// has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Retransmit<const WORDS: usize> {
    /// Time, socket, namespace, ports.
    pub head: RecordHead,
    /// Retransmission timeout in ticks that was in force when the segment was sent (`icsk_rto`, not
    /// doubled yet); 0 for a half-open connection.
    pub rto: u32,
    /// `TCP_USER_TIMEOUT` in milliseconds, 0 for none.
    pub user_timeout_ms: u32,
    /// Segments that this socket has sent again so far, without this one (`total_retrans`).
    pub total: u32,
    /// State in the kernel's numbers.
    pub state: u8,
    /// [`TCP_FIN`], [`TCP_SYN`], [`TCP_ACK`] of the segment.
    pub segment: u8,
    /// Retransmission timeouts in a row, this one included (`icsk_retransmits`); 0 for a segment that
    /// no timeout sent: a tail loss probe or a fast retransmission. For a half-open connection the
    /// runs of its timer so far (`num_timeout`).
    pub timeouts: u8,
    /// `TCP_SYNCNT` of this socket or of the listener (`icsk_syn_retries`), 0 if it is not set.
    pub syn_retries: u8,
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

const _: () = {
    assert!(size_of::<Retransmit<1>>() == 56, "IPv4 record");
    assert!(size_of::<Retransmit<4>>() == 80, "IPv6 record");
    assert!(core::mem::offset_of!(Retransmit<1>, remote) + 4 == 56, "no tail padding");
    assert!(core::mem::offset_of!(Retransmit<4>, remote) + 16 == 80, "no tail padding");
};
