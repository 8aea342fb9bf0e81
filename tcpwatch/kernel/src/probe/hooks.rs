//! The hooks: which tracepoint each program of the kernel side is on and what it reports. They are in the table
//! [`tcpwatch_common::hooks!`].

use tcpwatch_common::counter;

/// One hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookSpec {
    /// Name of the program in the object file.
    pub program: &'static str,
    /// Name of the BTF tracepoint.
    pub tracepoint: &'static str,
    /// What it reports, in a few words.
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
    /// All but what it reports, for which kernel structures of this kind must be readable.
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

macro_rules! table {
    ($($(#[$what:meta])* $hook:ident = $number:literal $(: $program:ident on $tracepoint:ident
        reports $reports:literal, $need:expr, counts $counts:literal)?;)*) => {
        /// All hooks on tracepoints.
        pub const HOOKS: &[HookSpec] = &[$($(HookSpec {
            program: stringify!($program),
            tracepoint: stringify!($tracepoint),
            tells: $reports,
            counters: counter::Hook::$hook,
            need: $need,
            counts: $counts,
        },)?)*];
    };
}
tcpwatch_common::hooks!(table);
