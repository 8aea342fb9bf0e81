//! For what a socket waits, from what the kernel shows of it. Pure.

#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use crate::{
    event::{KernelTime, KnownKind, SocketTimer, SocketTimerKind, TcpInfo, TcpState, Waiter},
    timing::{
        self, ProbeOptions, RtoOptions, SynOptions, Sysctls, Window, fin_wait_2, wheel::TickRate,
    },
};

/// What has to happen for a socket to leave its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The answer to its SYN.
    SynAck,
    /// The last ACK of a handshake.
    HandshakeAck,
    /// The application's first write, which the SYN will carry (`TCP_FASTOPEN_CONNECT`).
    FirstWrite,
    /// Room in the peer's window for what is queued.
    Window,
    /// An acknowledgment of what was sent, the FIN among it or behind it.
    Acknowledgment,
    /// The peer's FIN.
    PeerFin,
    /// The application's `accept()`: of a connection that was not accepted, and of a listener with such
    /// connections.
    Accept,
    /// The application's `close()` or `shutdown()`.
    Close,
    /// A listener: a connection.
    Connection,
    /// The timer of TIME_WAIT.
    Timer,
}

impl WaitsFor {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SynAck,
        Self::HandshakeAck,
        Self::FirstWrite,
        Self::Window,
        Self::Acknowledgment,
        Self::PeerFin,
        Self::Accept,
        Self::Close,
        Self::Connection,
        Self::Timer,
    ];

    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SynAck => "syn_ack",
            Self::HandshakeAck => "handshake_ack",
            Self::FirstWrite => "first_write",
            Self::Window => "window",
            Self::Acknowledgment => "acknowledgment",
            Self::PeerFin => "peer_fin",
            Self::Accept => "accept",
            Self::Close => "close",
            Self::Connection => "connection",
            Self::Timer => "timer",
        }
    }
}

/// When the kernel gives up waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesUp {
    /// That is not known.
    Unknown,
    /// Not while the peer answers.
    Never,
    /// In this time. An estimate, because options of the socket that the kernel does not show may decide
    /// (`TCP_USER_TIMEOUT`, `TCP_SYNCNT`), and what the peer will do.
    In(Window),
}

/// For what a socket waits, and what there is in its queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For what; `None` if nothing that the kernel shows says so.
    pub waits_for: Option<WaitsFor>,
    /// The application has closed it (`SOCK_DEAD`).
    pub orphan: bool,
    /// Bytes that the application handed over and that were not sent yet.
    pub unsent: Option<u32>,
    /// Bytes that were sent and not acknowledged.
    pub unacknowledged: Option<u32>,
    /// Bytes that came and that the application has not read.
    pub unread: Option<u32>,
    /// The application has read up to the peer's FIN; `None` if that has not come.
    pub end_read: Option<bool>,
    /// The peer's window, in bytes.
    pub window: Option<u32>,
    /// Segments that were sent again since the last answer: SYN, SYN+ACK, FIN or data.
    pub retransmits: Option<u8>,
    /// Window probes that were sent.
    pub probes: Option<WindowProbes>,
    /// When the next one is due, if it is sent by a timer.
    pub next_in: Option<Duration>,
    /// If it does not get what it waits for.
    pub gives_up: GivesUp,
    /// When the kernel's timer will end the state, if nothing else does before.
    pub ends_at: Option<KernelTime>,
    /// That moment is an estimate.
    pub end_estimated: bool,
}

/// Window probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowProbes {
    /// Sent since the window was closed.
    pub sent: u8,
    /// Perhaps more: the kernel counts up to `tcp_retries2`.
    pub or_more: bool,
    /// Of these, sent since the last answer of the peer.
    pub unanswered: u8,
}

/// By which rules a socket waits, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitRules<'a> {
    pub(super) sysctls: Option<&'a Sysctls>,
    pub(super) rate: TickRate,
    /// When a mini-socket's timer will fire, if its start was seen.
    pub(super) ends_at: Option<KernelTime>,
}

impl Wait {
    pub(super) fn of(waiter: &Waiter, rules: WaitRules<'_>) -> Self {
        let Waiter { known, timer, .. } = *waiter;
        let (unsent, unacknowledged) = sent(waiter);
        let (unread, end_read) = received(waiter);
        let wait = Self {
            waits_for: waits_for(waiter, unsent, unacknowledged),
            orphan: is_orphan(waiter),
            unsent,
            unacknowledged,
            unread,
            end_read,
            window: waiter
                .tcp
                .filter(|_| known.state != TcpState::Listen)
                .and_then(|tcp| tcp.window),
            retransmits: None,
            probes: None,
            next_in: None,
            gives_up: GivesUp::Unknown,
            ends_at: None,
            end_estimated: false,
        };
        let Some(timer) = timer else { return wait };
        match timer.kind {
            SocketTimerKind::Retransmit => Self {
                retransmits: Some(timer.tries),
                next_in: Some(timer.left),
                gives_up: gives_up(waiter, timer, wait, rules),
                ..wait
            },
            SocketTimerKind::WindowProbe => Self {
                probes: waiter.tcp.map(|tcp| probes(timer, tcp, rules.sysctls)),
                next_in: Some(timer.left),
                gives_up: probing_ends(waiter, timer, wait.orphan, rules),
                ..wait
            },
            SocketTimerKind::TimeWait => {
                Self { ends_at: rules.ends_at.or(Some(known.seen.after(timer.left))), ..wait }
            }
            SocketTimerKind::Keepalive => {
                let ends_at = orphan_ends(waiter, timer, wait.orphan, rules);
                Self { ends_at, end_estimated: ends_at.is_some(), ..wait }
            }
        }
    }
}

fn waits_for(waiter: &Waiter, unsent: Option<u32>, in_flight: Option<u32>) -> Option<WaitsFor> {
    let Waiter { known, timer, tcp, .. } = waiter;
    let timer = timer.map(|timer| timer.kind);
    Some(match known.state {
        // A SYN that was sent is in flight.
        TcpState::SynSent if timer.is_none() && tcp.is_some_and(|tcp| tcp.in_flight == 0) => {
            WaitsFor::FirstWrite
        }
        TcpState::SynSent => WaitsFor::SynAck,
        TcpState::SynRecv => WaitsFor::HandshakeAck,
        TcpState::FinWait2 => WaitsFor::PeerFin,
        TcpState::Listen if waiter.receive_queue == 0 => WaitsFor::Connection,
        TcpState::Listen => WaitsFor::Accept,
        TcpState::TimeWait => WaitsFor::Timer,
        // Only a connection that was not accepted has no file in these states.
        TcpState::Established | TcpState::CloseWait if known.inode == 0 => WaitsFor::Accept,
        TcpState::Established if timer == Some(SocketTimerKind::WindowProbe) => WaitsFor::Window,
        TcpState::Established
            if timer == Some(SocketTimerKind::Retransmit)
                && tcp.is_some_and(|tcp| tcp.in_flight > 0) =>
        {
            WaitsFor::Acknowledgment
        }
        TcpState::CloseWait => WaitsFor::Close,
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => {
            // With segments in flight the peer has taken back a part of what it had offered.
            let more = unsent != Some(0) || tcp.is_some_and(|tcp| tcp.in_flight > 0);
            let shut = more && tcp.is_some_and(|tcp| tcp.window == Some(0));
            if timer == Some(SocketTimerKind::WindowProbe) || shut {
                WaitsFor::Window
            } else if timer == Some(SocketTimerKind::Retransmit)
                || tcp.is_some_and(|tcp| tcp.in_flight > 0)
                || in_flight.is_some_and(|bytes| bytes > 0)
            {
                WaitsFor::Acknowledgment
            } else {
                return None;
            }
        }
        _ => return None,
    })
}

/// A socket that no application holds any more. One that was not accepted yet has no file either, but can only be
/// in ESTABLISHED, CLOSE_WAIT or SYN_RECV.
fn is_orphan(waiter: &Waiter) -> bool {
    let closing = matches!(
        waiter.known.state,
        TcpState::FinWait1 | TcpState::FinWait2 | TcpState::Closing | TcpState::LastAck
    );
    closing && waiter.known.inode == 0
}

/// Bytes of data that were not sent, and that were not acknowledged, without SYN and FIN.
fn sent(waiter: &Waiter) -> (Option<u32>, Option<u32>) {
    // The queues of a listener are of connections.
    let tcp = waiter.tcp.filter(|_| waiter.known.state != TcpState::Listen);
    let Some(unsent) = tcp.and_then(|tcp| tcp.unsent) else { return (None, None) };
    let (syn, fin) = match waiter.known.state {
        TcpState::SynSent | TcpState::SynRecv => (1, 0),
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => (0, 1),
        _ => (0, 0),
    };
    let queued = waiter.send_queue.saturating_sub(syn + fin);
    // The FIN is behind the last byte: if any is not sent, neither is it.
    let unsent = unsent.saturating_sub(fin).min(queued);
    (Some(unsent), Some(queued - unsent))
}

/// Bytes that the application has not read, and whether it has read the end. The FIN is behind all of them.
fn received(waiter: &Waiter) -> (Option<u32>, Option<bool>) {
    if waiter.tcp.is_none() {
        return (None, None);
    }
    let queue = waiter.receive_queue;
    match waiter.known.state {
        TcpState::CloseWait | TcpState::Closing | TcpState::LastAck => {
            (Some(queue.saturating_sub(1)), Some(queue == 0))
        }
        TcpState::SynSent | TcpState::SynRecv | TcpState::Listen => (None, None),
        _ => (Some(queue), None),
    }
}

/// The wait was doubled with each probe, whether the peer answered it or not.
fn probes(timer: SocketTimer, tcp: TcpInfo, sysctls: Option<&Sysctls>) -> WindowProbes {
    let sent = tcp.backoff.max(timer.tries);
    let or_more = sysctls.is_none_or(|sysctls| tcp.backoff >= sysctls.retries2);
    WindowProbes { sent, or_more, unanswered: timer.tries }
}

fn probing_ends(
    waiter: &Waiter,
    timer: SocketTimer,
    orphan: bool,
    rules: WaitRules<'_>,
) -> GivesUp {
    let Some((sysctls, tcp)) = rules.sysctls.zip(waiter.tcp) else { return GivesUp::Unknown };
    let options = ProbeOptions {
        rto: tcp.rto,
        backoff: tcp.backoff,
        unanswered: timer.tries,
        orphan,
        left: timer.left,
    };
    timing::window_probes(sysctls, options, rules.rate).map_or(GivesUp::Never, GivesUp::In)
}

/// When nothing is sent again any more.
fn gives_up(waiter: &Waiter, timer: SocketTimer, wait: Wait, rules: WaitRules<'_>) -> GivesUp {
    let Some(sysctls) = rules.sysctls else { return GivesUp::Unknown };
    let rate = rules.rate;
    let schedule = match (waiter.known.state, waiter.known.kind, waiter.tcp) {
        (TcpState::SynSent, ..) => timing::syn(sysctls, SynOptions::default(), rate),
        (TcpState::SynRecv, KnownKind::Request, _) => timing::syn_ack(sysctls, None, rate),
        // A peer that answers and keeps its window shut is waited for (`tcp_retransmit_timer`).
        (_, _, Some(_)) if wait.waits_for == Some(WaitsFor::Window) && !wait.orphan => {
            return GivesUp::Unknown;
        }
        (
            TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck | TcpState::CloseWait,
            _,
            Some(tcp),
        ) => {
            let options = RtoOptions {
                first_rto: first_rto(tcp, timer, sysctls),
                orphan: wait.orphan,
                probe_first: None,
                user_timeout: None,
            };
            timing::unacknowledged(sysctls, options, rate)
        }
        _ => return GivesUp::Unknown,
    };
    let end = schedule.gives_up_from(timer.tries.into(), timer.left, rate);
    end.map_or(GivesUp::Unknown, GivesUp::In)
}

/// Each timeout that passed has doubled it, up to the greatest.
fn first_rto(tcp: TcpInfo, timer: SocketTimer, sysctls: &Sysctls) -> Duration {
    let halved = tcp.rto / 1_u32.checked_shl(timer.tries.into()).unwrap_or(u32::MAX);
    halved.max(sysctls.rto_min.min(tcp.rto))
}

/// A full socket waits in FIN_WAIT_2 for what is above 60 s, then a timewait socket for the same time.
fn orphan_ends(
    waiter: &Waiter,
    timer: SocketTimer,
    orphan: bool,
    rules: WaitRules<'_>,
) -> Option<KernelTime> {
    if !orphan || waiter.known.state != TcpState::FinWait2 {
        return None;
    }
    let (sysctls, tcp) = rules.sysctls.zip(waiter.tcp)?;
    let wait = fin_wait_2(sysctls.fin_timeout, tcp.rto, rules.rate);
    wait.full_socket?;
    Some(waiter.known.seen.after(timer.left).after(wait.mini_socket.promise))
}
