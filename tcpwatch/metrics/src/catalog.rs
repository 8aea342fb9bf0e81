//! The metrics from the kernel side: names, help texts, and the words that count them.

use tcpwatch_common::{
    Reason,
    counts::{
        ACCEPTS, AGAIN, CONNECT_ENDS, ENDS, RESETS_RECEIVED, RESETS_SENT, RetransmitKind, UNKEPT,
    },
};
use tcpwatch_core::event::TcpState;

use crate::family::ScrapeFamily;

/// A counter, or a family of them with one label.
pub(super) struct CounterSpec {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// Name of the label, if there is one.
    pub(super) label: &'static str,
    /// Values of the label, and the words whose sum is the value.
    pub(super) series: &'static [(&'static str, &'static [usize])],
}

/// Counters that are sums of words of the kernel side.
pub(super) const COUNTS: [CounterSpec; 8] = [
    CounterSpec {
        name: "tcpwatch_connect_failures_total",
        help: "Connect attempts that failed, by the error that the application got; gave_up: \
        the application closed the socket after the SYN had been sent again without an answer. \
        Those that it closed before that are not failures, see tcpwatch_connects_canceled_total.",
        label: "reason",
        series: &[
            ("refused", &[connect(Reason::Refused)]),
            ("timed_out", &[connect(Reason::TimedOut)]),
            ("gave_up", &[connect(Reason::GaveUp)]),
            ("reset", &[connect(Reason::ResetReceived), connect(Reason::ResetSent)]),
            ("unreachable", &[connect(Reason::Unreachable)]),
            ("no_port", &[connect(Reason::NoPort)]),
            ("tuple_in_use", &[connect(Reason::TupleInUse)]),
            ("not_sent", &[connect(Reason::NotSent)]),
            (
                "other",
                &[
                    connect(Reason::Killed),
                    connect(Reason::Unknown),
                    connect(Reason::Repaired),
                    connect(Reason::NeverAccepted),
                ],
            ),
        ],
    },
    CounterSpec {
        name: "tcpwatch_connects_canceled_total",
        help: "Connect attempts that the application gave up before they succeeded or failed, and before \
               the first SYN was sent again.",
        label: "",
        series: &[("", &[connect(Reason::Normal)])],
    },
    CounterSpec {
        name: "tcpwatch_accepts_total",
        help: "Connections that came in and were completed by the last segment of the handshake.",
        label: "",
        series: &[("", &[ACCEPTS])],
    },
    CounterSpec {
        name: "tcpwatch_retransmits_total",
        help: "Segments sent again, by kind; a FIN with data is data. Tail loss probes are \
        included; segments that the layers below did not accept are not (RetransSegs of the kernel).",
        label: "kind",
        series: &[
            ("syn", &[again(RetransmitKind::Syn)]),
            ("syn_ack", &[again(RetransmitKind::SynAck)]),
            ("fin", &[again(RetransmitKind::Fin)]),
            ("data", &[again(RetransmitKind::Data)]),
        ],
    },
    CounterSpec {
        name: "tcpwatch_resets_sent_total",
        help: "Resets sent; before Linux 6.10 only those of full sockets.",
        label: "",
        series: &[("", &[RESETS_SENT])],
    },
    CounterSpec {
        name: "tcpwatch_resets_received_total",
        help: "Resets accepted by full sockets.",
        label: "",
        series: &[("", &[RESETS_RECEIVED])],
    },
    CounterSpec {
        name: "tcpwatch_connection_ends_total",
        help: "Connections and half-open connections that have ended, by reason, in the words \
        of the log: timer is the end of TIME_WAIT or FIN_WAIT_2, reused that of one of them by a new \
               connection. Listeners and connect attempts do not count.",
        label: "reason",
        series: &[
            ("normal", &[end(Reason::Normal)]),
            ("timer", &[end(Reason::Timer)]),
            ("reused", &[end(Reason::Reused)]),
            ("listener_closed", &[end(Reason::ListenerClosed)]),
            ("netns_gone", &[end(Reason::NetnsGone)]),
            ("reset_received", &[end(Reason::ResetReceived), end(Reason::Refused)]),
            ("reset_sent", &[end(Reason::ResetSent)]),
            ("never_accepted", &[end(Reason::NeverAccepted)]),
            ("timed_out", &[end(Reason::TimedOut)]),
            ("unreachable", &[end(Reason::Unreachable)]),
            ("killed", &[end(Reason::Killed)]),
            ("time_wait_overflow", &[end(Reason::TimeWaitOverflow)]),
            ("out_of_memory", &[end(Reason::OutOfMemory)]),
            ("repaired", &[end(Reason::Repaired)]),
            ("abandoned", &[end(Reason::Abandoned)]),
            ("unknown", &[end(Reason::Unknown)]),
        ],
    },
    CounterSpec {
        name: "tcpwatch_sockets_untimed_total",
        help: "Sockets whose times in their states are not known, because the kernel had no memory \
               for them or the table of mini-sockets was full.",
        label: "",
        series: &[("", &[UNKEPT])],
    },
];

const fn connect(end: Reason) -> usize {
    #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
    {
        CONNECT_ENDS + end as usize
    }
}

const fn end(end: Reason) -> usize {
    #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
    {
        ENDS + end as usize
    }
}

const fn again(what: RetransmitKind) -> usize {
    #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
    {
        AGAIN + what as usize
    }
}

impl CounterSpec {
    /// The family, with the values that `word` returns.
    pub(super) fn family(&self, scope: &str, word: impl Fn(usize) -> f64) -> ScrapeFamily {
        let mut family = ScrapeFamily::counter(self.name, &format!("{} {scope}", self.help));
        for (value, words) in self.series {
            let label = (self.label, *value);
            let labels: &[_] = if self.label.is_empty() { &[] } else { &[label] };
            family.add(labels, words.iter().map(|index| word(*index)).sum());
        }
        family
    }
}

/// Changes that have a series from the start; others get one when they happen.
pub(super) const KNOWN_CHANGES: [(TcpState, TcpState); 25] = {
    use TcpState::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv,
        SynSent, TimeWait,
    };
    [
        (Closed, Listen),
        (Closed, SynSent),
        (Listen, Closed),
        (Listen, SynRecv),
        (SynSent, Established),
        (SynSent, SynRecv),
        (SynSent, Closed),
        (SynRecv, Established),
        (SynRecv, FinWait1),
        (SynRecv, CloseWait),
        (SynRecv, Closed),
        (Established, FinWait1),
        (Established, CloseWait),
        (Established, Closed),
        (FinWait1, FinWait2),
        (FinWait1, Closing),
        (FinWait1, Closed),
        (FinWait2, TimeWait),
        (FinWait2, Closed),
        (Closing, TimeWait),
        (Closing, Closed),
        (TimeWait, Closed),
        (CloseWait, LastAck),
        (CloseWait, Closed),
        (LastAck, Closed),
    ]
};

/// States of connections, whose durations are measured.
pub(super) const OF_CONNECTIONS: [TcpState; 9] = [
    TcpState::SynSent,
    TcpState::SynRecv,
    TcpState::Established,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::CloseWait,
    TcpState::Closing,
    TcpState::LastAck,
    TcpState::TimeWait,
];

/// The value of the labels `state`, `from` and `to`.
pub(super) fn word(state: TcpState) -> String {
    state.to_string().to_ascii_lowercase()
}
