//! A full socket that is counted, as the programs of `tcpwatch-ebpf/src/kept_sockets.rs` list it. Consumer:
//! `tcpwatch/kernel/src/probe/books/`.

/// One socket, of any network namespace. The bytes are in the machine's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct KeptSocket {
    /// The number that `ss -e` prints.
    pub cookie: u64,
    /// Since when it is in its state, at the latest, by `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// The cell that it is counted in.
    pub cgroup: u32,
    /// The state that it is counted in: kernel number.
    pub state: u32,
}

/// Bytes of a [`KeptSocket`].
pub const KEPT_BYTES: usize = 24;

const _: () = assert!(size_of::<KeptSocket>() == KEPT_BYTES, "no padding");

impl KeptSocket {
    /// From the bytes that the program wrote.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEPT_BYTES]) -> Self {
        let [k0, k1, k2, k3, k4, k5, k6, k7, since @ .., c0, c1, c2, c3, s0, s1, s2, s3] = bytes;
        Self {
            cookie: u64::from_ne_bytes([k0, k1, k2, k3, k4, k5, k6, k7]),
            since_ns: u64::from_ne_bytes(since),
            cgroup: u32::from_ne_bytes([c0, c1, c2, c3]),
            state: u32::from_ne_bytes([s0, s1, s2, s3]),
        }
    }
}
