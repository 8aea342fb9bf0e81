//! What a full socket has done in its life, told with its last change.
//!
//! Producer: `tcpwatch-ebpf/src/inet_sock_set_state.rs`. Consumer:
//! `tcpwatch/core/src/decode/state_change.rs`.

use crate::state_change::StateChange;

/// Counts of `struct tcp_sock` (`include/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Totals {
    /// Bytes of data sent, those sent again included (`bytes_sent`).
    pub bytes_sent: u64,
    /// Bytes of data sent again (`bytes_retrans`).
    pub bytes_retransmitted: u64,
    /// Bytes received in order (`bytes_received`), the peer's FIN counted as one.
    pub bytes_received: u64,
    /// Segments sent again (`total_retrans`).
    pub retransmits: u32,
    /// Smoothed round-trip time in microseconds, times 8 (`srtt_us`); 0 if never measured.
    pub srtt_us_8: u32,
    /// Smallest round-trip time of late in microseconds (`rtt_min`); `u32::MAX` if never measured.
    pub min_rtt_us: u32,
    /// Always 0.
    pub reserved: u32,
}

/// A [`StateChange`] to CLOSED with the totals of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StateChangeLast<const WORDS: usize> {
    /// The change.
    pub change: StateChange<WORDS>,
    /// The totals.
    pub totals: Totals,
}

const _: () = {
    assert!(size_of::<Totals>() == 40, "no padding");
    assert!(size_of::<StateChangeLast<1>>() == 64 + 40, "no padding between");
    assert!(size_of::<StateChangeLast<4>>() == 88 + 40, "no padding between");
};
