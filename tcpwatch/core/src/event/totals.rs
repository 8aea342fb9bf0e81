//! What a full socket has done in its life.

use std::time::Duration;

/// Counts and times of a socket, taken at its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of data sent, each counted once; acknowledged or not.
    pub sent: u64,
    /// Bytes of data received, each counted once.
    pub received: u64,
    /// Segments sent again, by timers, probes and fast retransmission.
    pub retransmits: u32,
    /// Smoothed round-trip time; `None` if it was never measured.
    pub srtt: Option<Duration>,
    /// Smallest round-trip time of late (`tcp_min_rtt_wlen`, 300 s); `None` if it was never measured.
    pub min_rtt: Option<Duration>,
}
