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
}

/// What works without a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Required,
    /// All but the life of mini-sockets, for which all hooks of this kind are needed.
    MiniSockets,
}

/// All hooks.
pub const HOOKS: [Hook; 4] = [
    Hook {
        program: "set_state",
        tracepoint: "inet_sock_set_state",
        tells: "state changes",
        counters: counter::Hook::SetState,
        need: Need::Required,
    },
    mini("timer_start", counter::Hook::TimerStart),
    mini("timer_cancel", counter::Hook::TimerCancel),
    mini_named("timer_expire", "timer_expire_entry", counter::Hook::TimerExpire),
];

const fn mini(name: &'static str, counters: counter::Hook) -> Hook {
    mini_named(name, name, counters)
}

const fn mini_named(
    program: &'static str,
    tracepoint: &'static str,
    counters: counter::Hook,
) -> Hook {
    let tells = "TIME_WAIT, FIN_WAIT_2, SYN_RECV";
    Hook { program, tracepoint, tells, counters, need: Need::MiniSockets }
}
