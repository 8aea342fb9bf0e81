//! What the hosts do, step by step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tcpwatch_core::event::{SegmentKind, TcpFlags, TcpState};

use crate::host::Host;

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioStep {
    /// Its line in the file, from 1.
    pub line: usize,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A host's process makes system calls. The step is done when the calls have begun (`connect`, `accept` and `recv`
    /// may take long; a condition waits for their return) or, for all others, when they have returned.
    Call(Host, Call),
    /// A host's process gets a signal.
    Signal(Host, Signal),
    /// A drop rule is set, by its slot.
    SetRule(usize),
    /// A drop rule is removed, by its slot.
    ReleaseRule(usize),
    /// Waits until a condition holds.
    Wait {
        /// The condition.
        condition: Condition,
        /// A longer wait is a failure.
        within: Duration,
    },
}

/// What a step waits for. Events since the last step other than a wait count, and so does a present state.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A socket of the host (a mini-socket included) is in the state or has entered it.
    State(Host, TcpState),
    /// The host has retransmitted a segment this often (since the beginning of the run).
    Retransmits {
        /// Which host.
        host: Host,
        /// The segment.
        segment: SegmentKind,
        /// The number of retransmissions.
        count: u32,
    },
    /// This many segments with these flags have reached the host or were dropped on its link (since the beginning of
    /// the run).
    Segment {
        /// The host.
        host: Host,
        /// Flags that are all set.
        flags: TcpFlags,
        /// Only those with a window of zero.
        zero_window: bool,
        /// The number of segments.
        count: u32,
    },
    /// The host's latest call of this kind on this socket has returned.
    Returned {
        /// The host.
        host: Host,
        /// The socket's name in the scenario.
        socket: String,
        /// The call's name: `connect`, `accept`, `recv`.
        call: String,
    },
    /// The rule in this slot has dropped this many segments.
    Dropped {
        /// The slot of the rule.
        rule: usize,
        /// The number of segments.
        count: u32,
    },
}

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// SIGSTOP, by hand Ctrl+Z.
    Stop,
    /// SIGCONT, by hand `fg`.
    Continue,
    /// SIGKILL: the kernel closes the process's sockets.
    Kill,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stop, Self::Continue, Self::Kill];

    /// Its name in `signal(7)`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop => "SIGSTOP",
            Self::Continue => "SIGCONT",
            Self::Kill => "SIGKILL",
        }
    }
}

/// System calls on one socket of a host's process. It is sent to the process unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The socket's name in the scenario.
    pub socket: String,
    /// The calls.
    pub kind: CallKind,
}

/// The kinds of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// `socket()`, so that options can be set before any other call.
    Socket,
    /// `setsockopt()`; the name of the option in lower case without its prefix (`keepalive`,
    /// `user_timeout`) and its value.
    SetOption {
        /// The option's name.
        name: String,
        /// Its value.
        value: i64,
    },
    /// `bind()` to the host's address and this port.
    Bind {
        /// The port.
        port: u16,
    },
    /// `listen()`, with `socket()` and `bind()` before it where they have not been called.
    Listen {
        /// The port, unless the socket is bound.
        port: u16,
        /// Connections that may wait to be accepted.
        backlog: u32,
    },
    /// `connect()` to the other host, with `socket()` before it where it has not been called.
    Connect {
        /// Port of the other host.
        port: u16,
    },
    /// `connect()` at the same time as the other host. The server waits for a datagram that the client sends just
    /// before a tick that advances the timer wheel (`kernel/time/timer.c`), so that the timers of both SYNs run out
    /// with the same tick.
    ConnectTogether {
        /// Port of the other host.
        port: u16,
    },
    /// `sendto()` with `MSG_FASTOPEN` to the other host, with `socket()` before it.
    FastOpen {
        /// Port of the other host.
        port: u16,
        /// Bytes of data.
        bytes: u32,
    },
    /// `accept()`; the new socket gets the name.
    Accept {
        /// The name of the listening socket.
        listener: String,
    },
    /// `send()`.
    Send {
        /// Bytes of data.
        bytes: u32,
    },
    /// `recv()` until this many bytes have come, or until the end of data.
    Recv {
        /// The number of bytes; `None` for the end of data.
        bytes: Option<u32>,
    },
    /// The same, followed by `close()` immediately in the process.
    RecvThenClose {
        /// The number of bytes; `None` for the end of data.
        bytes: Option<u32>,
    },
    /// `shutdown()`.
    Shutdown(Shutdown),
    /// `close()`.
    Close,
    /// `close()` with `SO_LINGER` on and 0 seconds, which resets the connection.
    Reset,
    /// `_exit()`: the kernel closes the process's sockets. The name of the socket is ignored.
    Exit,
}

/// Which direction is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shutdown {
    /// `SHUT_RD`.
    Read,
    /// `SHUT_WR`.
    Write,
    /// `SHUT_RDWR`.
    Both,
}
