//! What the hosts do, step by step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tcpwatch_core::event::{Segment, TcpFlags, TcpState};

use crate::host::Host;

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: usize,
    /// What is done.
    pub action: Action,
}

/// What is done in a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A host's process makes system calls. The step is done when they are begun (`connect`,
    /// `accept` and `recv` may take long; wait for them to return with a condition) or, for all
    /// others, when they have returned.
    Call(Host, Call),
    /// A host's process gets a signal.
    Signal(Host, Signal),
    /// A packet rule is set, by its slot.
    SetRule(usize),
    /// A packet rule is taken away, by its slot.
    ReleaseRule(usize),
    /// Nothing is done until this has happened.
    Wait {
        /// What is waited for.
        condition: Condition,
        /// Waiting longer is a failure.
        within: Duration,
    },
}

/// What is waited for. Whatever has happened since the last step that was not a wait counts, and so
/// does a state that holds now.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A socket of the host (a mini-socket included) is in the state or has entered it.
    State(Host, TcpState),
    /// The host has sent something again so often (counted from the beginning of the run).
    Retransmits {
        /// Which host.
        host: Host,
        /// What was sent.
        segment: Segment,
        /// How often.
        count: u32,
    },
    /// A segment with these flags has reached the host or was dropped on its link, so often (counted
    /// from the beginning of the run).
    Segment {
        /// Which host.
        host: Host,
        /// Flags that are all set.
        flags: TcpFlags,
        /// How often.
        count: u32,
    },
    /// The host's latest call of this kind on this socket has returned.
    Returned {
        /// Which host.
        host: Host,
        /// The socket's name in the scenario.
        socket: String,
        /// The call's name: `connect`, `accept`, `recv`.
        call: String,
    },
    /// The rule in this slot has dropped so many segments.
    Dropped {
        /// Which rule.
        rule: usize,
        /// How many.
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

/// System calls on one socket of a host's process. Sent to the process as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The socket's name in the scenario.
    pub socket: String,
    /// What is called.
    pub kind: CallKind,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// `socket()`, with options set before anything else.
    Socket,
    /// `setsockopt()`; the name of the option in lower case without its prefix (`keepalive`,
    /// `user_timeout`) and its value.
    SetOption {
        /// Which.
        name: String,
        /// What.
        value: i64,
    },
    /// `bind()` to the host's address and this port.
    Bind {
        /// Which.
        port: u16,
    },
    /// `listen()`, with `socket()` and `bind()` before it where they have not been called.
    Listen {
        /// The port, if it is not bound yet.
        port: u16,
        /// Connections that may wait to be accepted.
        backlog: u32,
    },
    /// `connect()` to the other host, with `socket()` before it where it has not been called.
    Connect {
        /// Port of the other host.
        port: u16,
    },
    /// The same, at the same time as the other host: the server waits for a datagram that the client
    /// sends just before, as the timer wheel turns (`kernel/time/timer.c`), so that the timers of
    /// both SYNs run out with the same tick.
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
    /// `recv()` until so many bytes have come, or the end of data.
    Recv {
        /// How many; `None` for the end of data.
        bytes: Option<u32>,
    },
    /// The same, and `close()` as soon as it has returned, without another order.
    RecvThenClose {
        /// How many; `None` for the end of data.
        bytes: Option<u32>,
    },
    /// `shutdown()`.
    Shutdown(Shutdown),
    /// `close()`.
    Close,
    /// `close()` with `SO_LINGER` on and 0 seconds, which resets the connection.
    Reset,
    /// `_exit()`: the kernel closes the process's sockets. The name of the socket does not matter.
    Exit,
}

/// Which half is shut down.
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
