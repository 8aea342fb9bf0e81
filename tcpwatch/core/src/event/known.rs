//! Sockets that existed before the kernel side was attached.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::{CgroupId, Cookie, Endpoints, KernelTime, Netns, Process, TcpState};

/// What the kernel keeps for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KnownKind {
    /// A whole socket (`struct tcp_sock`), with or without an application.
    Full,
    /// A timewait mini-socket, in `TIME_WAIT` or in `FIN_WAIT_2`.
    TimeWait,
    /// A request mini-socket: a half-open connection, in `SYN_RECV`.
    Request,
}

/// A socket that existed when the snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSocket {
    /// Which socket. A timewait mini-socket keeps the cookie of the socket it came from if that
    /// one had been asked for, and so does a connection the cookie of its request.
    pub socket: Cookie,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends; IPv4 in IPv6 (`::ffff:192.0.2.1`) is reported as IPv4, as it is on the wire.
    pub ends: Endpoints,
    /// Its state; of a timewait mini-socket the substate.
    pub state: TcpState,
    /// What the kernel keeps for it.
    pub kind: KnownKind,
    /// Time until a timewait mini-socket ends, counted from [`seen`](Self::seen): the nominal
    /// time in whole jiffies, zero when it is overdue; the timer wheel may let it end later, never
    /// earlier. Nothing for the other kinds.
    pub timer_left: Option<Duration>,
    /// When the kernel reported it, within the few hundred microseconds that one answer takes.
    pub seen: KernelTime,
    /// How long ago the last segment came from the peer, in whole milliseconds (`tcpi_last_ack_recv`), if
    /// that was asked for.
    #[serde(default)]
    pub quiet: Option<Duration>,
    /// Inode of the socket's file, 0 when there is none (mini-sockets, orphans, connections not
    /// accepted yet).
    pub inode: u32,
    /// Of a listener: more connections wait to be accepted than `listen()` allows, so that nothing more is let in
    /// (`sk_acceptq_is_full` in `include/net/sock.h`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queue_full: bool,
    /// Its cgroup; nothing for mini-sockets, and from kernels before 5.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupId>,
    /// The process that holds it; none when [`inode`](Self::inode) is 0 or no process has it open.
    pub owner: Option<Process>,
}

const _: () = assert!(size_of::<KnownSocket>() <= 160, "the stated memory per socket");
