//! A segment that was sent again.
//!
//! Producers: `tcpwatch-ebpf/src/tcp_retransmit_skb.rs` and `tcp_retransmit_synack.rs`. Consumer:
//! `tcpwatch/core/src/decode/retransmit.rs`.

use crate::record::RecordHead;

/// [`RecordHead::flags`]: the segment could not be handed to the network (since 6.17 the tracepoint
/// tells; before, it does not fire then).
pub const FLAG_NOT_SENT: u16 = 1 << 0;
/// [`RecordHead::flags`], with [`FLAG_NOT_SENT`]: the kernel counts it as sent again all the same
/// (`total_retrans`), because it was refused on its way out (`EPERM` of a firewall, `ENOBUFS` of a queue).
pub const FLAG_COUNTED: u16 = 1 << 4;
/// [`RecordHead::flags`]: a SYN+ACK of a half-open connection.
pub const FLAG_REQUEST: u16 = 1 << 1;
/// [`RecordHead::flags`]: the application has let go of the socket (`SOCK_DEAD`).
pub const FLAG_ORPHAN: u16 = 1 << 2;
/// [`RecordHead::flags`]: of a half-open connection, and not its timer but a SYN that came again made
/// the kernel send it.
pub const FLAG_SYN_CAME_AGAIN: u16 = 1 << 3;

/// Does a segment that was not sent for this error (negative, the kernel's) count in `total_retrans`? The others come
/// before the kernel counts (`__tcp_retransmit_skb` in `net/ipv4/tcp_output.c`): no route, no memory, or the segment
/// still waits in a queue of this host.
#[must_use]
#[inline]
pub const fn counts_though_unsent(error: i32) -> bool {
    const EAGAIN: i32 = 11;
    const ENOMEM: i32 = 12;
    const EBUSY: i32 = 16;
    const EINVAL: i32 = 22;
    const EHOSTUNREACH: i32 = 113;
    !matches!(error.wrapping_neg(), EAGAIN | ENOMEM | EBUSY | EINVAL | EHOSTUNREACH)
}

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
    /// [`TCP_FIN`], [`TCP_SYN`], [`TCP_ACK`] of the segment, see [`kind_flags`].
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

/// When a segment was sent before, and when its timer was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RetransmitTimes {
    /// When the segment was sent last before (`skb_mstamp_ns`, `CLOCK_MONOTONIC`), read when the timer
    /// of the socket ran out; 0 if no timer of the socket led here, or it ran out while a system call
    /// was at work on the socket.
    pub sent_before_ns: u64,
    /// The jiffy at which the socket's timer was due that was armed last.
    pub due: u64,
    /// The present jiffy.
    pub jiffies: u64,
    /// Sequence number of the segment.
    pub seq: u32,
    /// Always 0.
    pub reserved: u32,
}

/// One retransmission of a full socket, with the times of its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TimedRetransmit<const WORDS: usize> {
    /// The retransmission.
    pub again: Retransmit<WORDS>,
    /// The times.
    pub times: RetransmitTimes,
}

/// The flags that say what a segment with `bytes` of data is: with data, a FIN is data. The kernel joins
/// both when it sends them again (`tcp_retrans_try_collapse` in `net/ipv4/tcp_output.c`).
#[must_use]
pub const fn kind_flags(flags: u8, bytes: u32) -> u8 {
    if bytes == 0 { flags } else { flags & !TCP_FIN }
}

const _: () = {
    assert!(size_of::<RetransmitTimes>() == 32, "no padding");
    assert!(size_of::<TimedRetransmit<1>>() == 56 + 32, "no padding between");
    assert!(size_of::<TimedRetransmit<4>>() == 80 + 32, "no padding between");
    assert!(size_of::<Retransmit<1>>() == 56, "IPv4 record");
    assert!(size_of::<Retransmit<4>>() == 80, "IPv6 record");
    assert!(core::mem::offset_of!(Retransmit<1>, remote) + 4 == 56, "no tail padding");
    assert!(core::mem::offset_of!(Retransmit<4>, remote) + 16 == 80, "no tail padding");
};
