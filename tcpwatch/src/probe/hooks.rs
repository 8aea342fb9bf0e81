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
}

/// All hooks.
pub const HOOKS: [Hook; 1] = [Hook {
    program: "set_state",
    tracepoint: "inet_sock_set_state",
    tells: "state changes",
    counters: counter::Hook::SetState,
}];
