//! What there is to see, which hooks it takes, and what proves that they see it.

use std::slice;

use tcpwatch_core::{
    event::{ResetDirection, SegmentKind, TcpState},
    track::Reason,
};
use tcpwatch_kernel::probe::{
    EARLY_ENDS,
    hooks::{HOOKS, HookSpec, Need},
};

use super::evidence::Evidence;

const MINIS: &[&str] = &["timer_start", "timer_cancel", "timer_expire_entry"];

/// One line of the report.
pub(super) struct FeatureLine {
    pub(super) name: &'static str,
    /// Tracepoints that it takes.
    pub(super) hooks: &'static [&'static str],
    /// What has to be there besides hooks.
    pub(super) takes: Takes,
    /// What is missing in the evidence.
    pub(super) missing: fn(&Evidence) -> Option<String>,
}

/// What a feature takes besides hooks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// FIN_WAIT_2 that ends by its timer within the trial.
    ShortFinWait2,
    /// Segments that get lost.
    LostSegments,
    /// A kernel that says why it sends a reset.
    ResetReasons,
    /// A kernel whose sockets keep totals where they are looked for.
    Totals,
    /// Names of the kernel's functions.
    Names,
    /// Sockets that point to their cgroups, and cgroups that have paths.
    Cgroups,
    /// What none of the trial's connections is known to cause.
    MoreThanTrial,
}

/// States of full sockets that the trial passes; CLOSING takes two sides that close at the same moment.
const STATES: [TcpState; 8] = [
    TcpState::Listen,
    TcpState::SynSent,
    TcpState::Established,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::CloseWait,
    TcpState::LastAck,
    TcpState::Closed,
];

/// All features: those that are tried, and the hooks that no feature here takes.
pub(super) fn features() -> impl Iterator<Item = FeatureLine> {
    let is_tried =
        |hook: &&HookSpec| FEATURES.iter().any(|feature| feature.hooks.contains(&hook.tracepoint));
    let more = HOOKS.iter().filter(|hook| matches!(hook.need, Need::Optional(_)));
    let more = more.filter(move |hook| !is_tried(hook)).map(|hook| FeatureLine {
        takes: Takes::MoreThanTrial,
        ..feature(hook.tells, slice::from_ref(&hook.tracepoint), |_| Some(String::new()))
    });
    FEATURES.into_iter().chain(more)
}

/// The main job: [`FEATURES`] begin with it.
const FEATURES: [FeatureLine; 16] = [
    feature("state changes of full sockets", &["inet_sock_set_state"], |seen| {
        let missing = STATES.iter().filter(|state| !seen.entered(**state));
        let missing: Vec<_> = missing.map(ToString::to_string).collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }),
    feature("SYN_RECV of half-open connections", MINIS, |seen| {
        unless(seen.half_open(), "a half-open connection")
    }),
    feature("TIME_WAIT", MINIS, |seen| {
        unless(seen.entered(TcpState::TimeWait), "TIME_WAIT of a closed connection")
    }),
    feature("FIN_WAIT_2 without an application", MINIS, |seen| {
        unless(seen.timed(TcpState::FinWait2), "FIN_WAIT_2 of a client that left")
    }),
    FeatureLine {
        takes: Takes::ShortFinWait2,
        ..feature("FIN_WAIT_2 ended by its timer", MINIS, |seen| {
            unless(seen.ended(TcpState::FinWait2, Reason::Timer), "the end after one second")
        })
    },
    FeatureLine {
        takes: Takes::Names,
        ..feature(EARLY_ENDS, MINIS, |seen| {
            let is_seen = seen.ended(TcpState::TimeWait, Reason::Reused)
                && seen.ended(TcpState::FinWait2, Reason::ResetReceived)
                && seen.ended(TcpState::SynRecv, Reason::ResetReceived);
            unless(is_seen, "ends by a SYN and by a reset")
        })
    },
    FeatureLine {
        takes: Takes::LostSegments,
        ..feature("retransmitted SYN", &["tcp_retransmit_skb"], |seen| {
            unless(seen.again(SegmentKind::Syn), "a SYN without an answer")
        })
    },
    FeatureLine {
        takes: Takes::LostSegments,
        ..feature("retransmitted data and FIN", &["tcp_retransmit_skb"], |seen| {
            let is_seen = seen.again(SegmentKind::Data) && seen.again(SegmentKind::Fin);
            unless(is_seen, "data and a FIN without an answer")
        })
    },
    FeatureLine {
        takes: Takes::LostSegments,
        ..feature("retransmitted SYN+ACK", &["tcp_retransmit_synack"], |seen| {
            unless(seen.again(SegmentKind::SynAck), "a SYN+ACK without an answer")
        })
    },
    FeatureLine {
        takes: Takes::Cgroups,
        ..feature("cgroup of a socket: unit, container, pod", &["inet_sock_set_state"], |seen| {
            unless(seen.located(), "the path of a socket's cgroup")
        })
    },
    feature("resets sent", &["tcp_send_reset"], |seen| {
        unless(seen.reset(ResetDirection::Sent), "a reset")
    }),
    FeatureLine {
        takes: Takes::ResetReasons,
        ..feature("why a reset is sent, resets without a socket", &["tcp_send_reset"], |seen| {
            unless(seen.refusal(), "the reset of a closed port")
        })
    },
    feature("resets received", &["tcp_receive_reset"], |seen| {
        unless(seen.reset(ResetDirection::Received), "a reset")
    }),
    feature("which process receives", &["tcp_rcv_space_adjust"], |seen| {
        unless(seen.receiver(), "a server that received a byte")
    }),
    feature("errors the application sees", &["inet_sk_error_report"], |seen| {
        unless(seen.error(), "a refused connect")
    }),
    FeatureLine {
        takes: Takes::Totals,
        ..feature("bytes and RTT of connections that ended", &["inet_sock_set_state"], |seen| {
            unless(seen.totals(), "one byte each way")
        })
    },
];

const fn feature(
    name: &'static str,
    hooks: &'static [&'static str],
    missing: fn(&Evidence) -> Option<String>,
) -> FeatureLine {
    FeatureLine { name, hooks, takes: Takes::Nothing, missing }
}

fn unless(is_seen: bool, made: &str) -> Option<String> {
    (!is_seen).then(|| made.to_owned())
}
