//! A reset that was sent or received.
//!
//! Producers: `tcpwatch-ebpf/src/tcp_send_reset.rs` and `tcp_receive_reset.rs`. Consumer:
//! `tcpwatch/core/src/decode/reset.rs`.

use crate::record::RecordHead;

/// [`RecordHead::flags`]: this host sent it; otherwise it came in.
pub const FLAG_SENT: u16 = 1 << 0;
/// [`RecordHead::flags`]: [`Reset::reason`] holds the kernel's reason (since 6.10, sent only).
pub const FLAG_REASON: u16 = 1 << 1;
/// [`RecordHead::flags`]: it answers a segment without SYN. Not set: one with SYN, none, or not known.
pub const FLAG_NO_SYN: u16 = 1 << 2;

/// Which way a reset went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResetWay {
    /// This host sent it.
    Sent = 1,
    /// It came in.
    Received = 2,
}

/// One reset. [`RecordHead::cookie`] is 0 where no connection's socket is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reset<const WORDS: usize> {
    /// Time, socket, namespace, ports.
    pub head: RecordHead,
    /// `enum sk_rst_reason`, whose numbers differ between kernels.
    pub reason: u32,
    /// State of the socket in the kernel's numbers, 0 without one.
    pub state: u8,
    /// Always 0.
    pub reserved: [u8; 3],
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

const _: () = {
    assert!(size_of::<Reset<1>>() == 48, "IPv4 record");
    assert!(size_of::<Reset<4>>() == 72, "IPv6 record");
    assert!(core::mem::offset_of!(Reset<1>, remote) + 4 == 48, "no tail padding");
    assert!(core::mem::offset_of!(Reset<4>, remote) + 16 == 72, "no tail padding");
};
