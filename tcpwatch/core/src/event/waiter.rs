//! A socket that stays in a state, as the kernel shows it when it is asked (`sock_diag`).

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::KnownSocket;

/// What `sock_diag` says of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiter {
    /// Which one, its state, and when it was asked about.
    pub known: KnownSocket,
    /// The timer that runs; `None` if there is none.
    pub timer: Option<SocketTimer>,
    /// `idiag_rqueue`: from the first byte that the application has not read to the last that came; the peer's
    /// FIN counts as one (`tcp_diag_get_info`, `net/ipv4/tcp_diag.c`).
    pub receive_queue: u32,
    /// `idiag_wqueue`: from the first byte that the peer has not acknowledged to the last that was queued; the own
    /// SYN and FIN count as one each.
    pub send_queue: u32,
    /// Of a full socket, a part of its `struct tcp_info`.
    pub tcp: Option<TcpInfo>,
}

/// The timer of a socket that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketTimer {
    /// Which one.
    pub kind: SocketTimerKind,
    /// Until it is due, in whole milliseconds; zero if it is overdue. The timer wheel may let it fire later.
    pub left: Duration,
    /// How often its kind of segment was sent without an answer: `idiag_retrans`.
    pub tries: u8,
}

/// The kinds of timers that `idiag_timer` names (`inet_sk_diag_fill`, `net/ipv4/inet_diag.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketTimerKind {
    /// A retransmission, or a tail loss probe; of a request socket that of its SYN+ACK.
    Retransmit,
    /// Keepalive, or how long an orphan waits in FIN_WAIT_2.
    Keepalive,
    /// The end of a timewait socket.
    TimeWait,
    /// A window probe: nothing is in flight, and what is queued does not fit into the peer's window.
    WindowProbe,
}

impl SocketTimerKind {
    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmit",
            Self::Keepalive => "keepalive",
            Self::TimeWait => "time_wait",
            Self::WindowProbe => "window_probe",
        }
    }
}

/// A part of `struct tcp_info` (`include/uapi/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpInfo {
    /// `tcpi_rto`: the retransmission timeout as it is now, doubled by each that passed.
    pub rto: Duration,
    /// `tcpi_backoff`: how often the wait was doubled.
    pub backoff: u8,
    /// `tcpi_unacked`: segments in flight.
    pub in_flight: u32,
    /// `tcpi_notsent_bytes` (since 4.6): bytes that were not sent yet; a FIN behind them counts as one.
    pub unsent: Option<u32>,
    /// `tcpi_snd_wnd` (since 5.4): the peer's window, in bytes.
    pub window: Option<u32>,
    /// `tcpi_bytes_received` (since 4.1): bytes of data that came, read or not.
    #[serde(default)]
    pub bytes_received: Option<u64>,
    /// `tcpi_bytes_sent` without `tcpi_bytes_retrans` (since 4.19): bytes of data that were sent, each counted once.
    #[serde(default)]
    pub bytes_sent: Option<u64>,
    /// `tcpi_rtt`: the smoothed round-trip time; `None` before its first sample.
    #[serde(default)]
    pub rtt: Option<Duration>,
}
