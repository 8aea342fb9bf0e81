//! What a full socket has done in its life.

use std::time::Duration;

use super::Direction;

/// Counts and times of a socket, taken at its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketTotals {
    /// Bytes of data sent, each counted once; acknowledged or not.
    pub sent: u64,
    /// The SYN is among them if the connection went out.
    pub syn_counted: bool,
    /// Bytes of data that the application handed over and the peer did not acknowledge; `None` in a
    /// recording of an earlier version.
    pub undelivered: Option<u32>,
    /// Bytes of data received, each counted once.
    pub received: u64,
    /// Segments sent again, by timers, probes and fast retransmission.
    pub retransmits: u32,
    /// Smoothed round-trip time; `None` if it was never measured.
    pub srtt: Option<Duration>,
    /// Smallest round-trip time of late (`tcp_min_rtt_wlen`, 300 s); `None` if it was never measured.
    pub min_rtt: Option<Duration>,
}

impl SocketTotals {
    /// The bytes of data alone, of a connection in this direction.
    #[must_use]
    pub fn without_syn(self, direction: Option<Direction>) -> Self {
        let went_out = matches!(direction, Some(Direction::Outgoing | Direction::Both));
        let syn = u64::from(self.syn_counted && went_out);
        Self { sent: self.sent.saturating_sub(syn), syn_counted: false, ..self }
    }
}
