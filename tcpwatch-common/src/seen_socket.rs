//! A TCP socket as the program on `iter/tcp` lists it.
//!
//! Producer: `tcpwatch-ebpf/src/tcp_sockets.rs`. Consumer: `tcpwatch/kernel/src/probe/handlers/`.

use crate::MiniKind;

/// One socket of the listed network namespace. The bytes are in the machine's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SeenSocket {
    /// Address of the function that the timer of a mini-socket runs; 0 for a full socket.
    pub handler: u64,
    /// In host order.
    pub local_port: u16,
    /// In host order.
    pub remote_port: u16,
    /// [`crate::MiniKind`], or 0 for a full socket.
    pub mini: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

/// Bytes of a [`SeenSocket`].
pub const SEEN_BYTES: usize = 16;

const _: () = {
    assert!(size_of::<SeenSocket>() == SEEN_BYTES, "no padding");
    assert!(align_of::<SeenSocket>() == 8, "may be written in words");
};

impl SeenSocket {
    /// From the bytes that the program wrote.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SEEN_BYTES]) -> Self {
        let [handler @ .., local, local_end, remote, remote_end, mini, _, _, _] = bytes;
        Self {
            handler: u64::from_ne_bytes(handler),
            local_port: u16::from_ne_bytes([local, local_end]),
            remote_port: u16::from_ne_bytes([remote, remote_end]),
            mini,
            reserved: [0; 3],
        }
    }

    /// Is it a mini-socket of this kind?
    #[must_use]
    #[expect(clippy::as_conversions, reason = "u8::from is not const, and the enum is numbered")]
    pub const fn is(&self, kind: MiniKind) -> bool {
        self.mini == kind as u8
    }
}
