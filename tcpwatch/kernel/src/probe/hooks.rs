//! The hooks: which tracepoint each program of the kernel side sits on and what it tells.

use tcpwatch_common::counter;

/// One hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name of the program in the object file.
    pub program: &'static str,
    /// Name of the BTF tracepoint.
    pub tracepoint: &'static str,
    /// What it tells, in a few words.
    pub tells: &'static str,
    /// Its block of counters.
    pub counters: counter::Hook,
    /// What works without it.
    pub need: Need,
    /// Does it count for Prometheus?
    pub counts: bool,
}

/// What works without a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Required,
    /// All but the life of mini-sockets, for which all hooks of this kind are needed.
    MiniSockets,
    /// All but who holds accepted sockets before they are closed.
    Holders,
    /// All but what it tells, for which kernel structures of this kind must be readable.
    Optional(Reads),
}

/// What an optional hook reads besides sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Retransmission timers.
    Retransmits,
    /// Segments.
    Segments,
    /// Nothing.
    Nothing,
}

/// All hooks.
pub const HOOKS: [Hook; 11] = [
    Hook {
        program: "set_state",
        tracepoint: "inet_sock_set_state",
        tells: "state changes",
        counters: counter::Hook::SetState,
        need: Need::Required,
        counts: true,
    },
    mini("timer_start", "timer_start", counter::Hook::TimerStart),
    mini("timer_cancel", "timer_cancel", counter::Hook::TimerCancel),
    mini("timer_expire", "timer_expire_entry", counter::Hook::TimerExpire),
    Hook {
        program: "retransmit",
        tracepoint: "tcp_retransmit_skb",
        tells: "retries of SYN, FIN and data",
        counters: counter::Hook::Retransmit,
        need: Need::Optional(Reads::Retransmits),
        counts: true,
    },
    Hook {
        program: "retransmit_synack",
        tracepoint: "tcp_retransmit_synack",
        tells: "retries of SYN+ACK",
        counters: counter::Hook::RetransmitSynAck,
        need: Need::Optional(Reads::Retransmits),
        counts: true,
    },
    Hook {
        program: "send_reset",
        tracepoint: "tcp_send_reset",
        tells: "resets sent, and why",
        counters: counter::Hook::SendReset,
        need: Need::Optional(Reads::Segments),
        counts: true,
    },
    Hook {
        program: "receive_reset",
        tracepoint: "tcp_receive_reset",
        tells: "resets received",
        counters: counter::Hook::ReceiveReset,
        need: Need::Optional(Reads::Nothing),
        counts: true,
    },
    Hook {
        program: "error_report",
        tracepoint: "inet_sk_error_report",
        tells: "errors the application sees",
        counters: counter::Hook::ErrorReport,
        need: Need::Optional(Reads::Nothing),
        counts: false,
    },
    holder("received", "tcp_rcv_space_adjust", counter::Hook::Received),
    holder("sent", "sock_send_length", counter::Hook::Sent),
];

const fn holder(program: &'static str, tracepoint: &'static str, counters: counter::Hook) -> Hook {
    let tells = "which process receives and sends";
    Hook { program, tracepoint, tells, counters, need: Need::Holders, counts: false }
}

const fn mini(program: &'static str, tracepoint: &'static str, counters: counter::Hook) -> Hook {
    let tells = "TIME_WAIT, FIN_WAIT_2, SYN_RECV";
    Hook { program, tracepoint, tells, counters, need: Need::MiniSockets, counts: true }
}
