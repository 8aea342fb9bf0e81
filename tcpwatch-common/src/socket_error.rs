//! An error that the application will see.
//!
//! Producer: `tcpwatch-ebpf/src/inet_sk_error_report.rs`. Consumer:
//! `tcpwatch/core/src/event/error.rs`.

use crate::record::RecordHead;

/// One error report of a full socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SocketError<const WORDS: usize> {
    /// Time, socket, namespace, ports.
    pub head: RecordHead,
    /// `sk_err`, a positive errno.
    pub error: u32,
    /// State in the kernel's numbers.
    pub state: u8,
    /// Always 0.
    pub reserved: [u8; 3],
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

const _: () = {
    assert!(size_of::<SocketError<1>>() == 48, "IPv4 record");
    assert!(size_of::<SocketError<4>>() == 72, "IPv6 record");
    assert!(core::mem::offset_of!(SocketError<1>, remote) + 4 == 48, "no tail padding");
    assert!(core::mem::offset_of!(SocketError<4>, remote) + 16 == 72, "no tail padding");
};
