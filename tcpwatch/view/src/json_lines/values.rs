//! Values of members that several lines have.

use std::{collections::BTreeMap, net::IpAddr};

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tcpwatch_core::{
    event::{Cookie, Direction, Endpoint, KernelTime, Process, TcpState},
    loss::Cause,
    track::Subject,
};

#[cfg(test)]
use super::schema;
use crate::json::{ForeignText, Seconds, Word};

/// A state's name; `state#N` for a number of the kernel's that has no name yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateJson(pub(crate) TcpState);

impl Serialize for StateJson {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.name() {
            Some(word) => Word(word).serialize(serializer),
            None => serializer.collect_str(&self.0),
        }
    }
}

/// What every line about a socket begins with.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct Identity {
    /// The kernel's cookie, which ss -e prints as sk: in hexadecimal; null for a mini-socket whose cookie
    /// nobody has asked for, for a reset without a socket, and for a segment.
    #[cfg_attr(test, schemars(range(min = 1)))]
    socket: Option<u64>,
    /// Inode of the network namespace, as in readlink /proc/PID/ns/net.
    #[cfg_attr(test, schemars(range(min = 1)))]
    netns: u32,
    /// On the wire: IPv4 through an IPv6 socket is ipv4.
    #[cfg_attr(test, schemars(schema_with = "schema::family"))]
    family: FamilyJson,
    /// This host's end.
    local: End,
    /// The other end; the unspecified address and port 0 where there is none.
    remote: End,
}

impl Identity {
    #[inline]
    pub(crate) fn of(subject: &Subject) -> Self {
        let Subject { socket, netns, ends, .. } = *subject;
        Self {
            socket: socket.map(|Cookie(number)| number),
            netns: netns.0,
            family: match ends.local.address {
                IpAddr::V4(_) => FamilyJson::Ipv4,
                IpAddr::V6(_) => FamilyJson::Ipv6,
            },
            local: End::of(ends.local),
            remote: End::of(ends.remote),
        }
    }
}

/// The network namespace alone, of a line about several sockets.
#[derive(Debug, Serialize)]
pub(crate) struct Namespace {
    netns: u32,
}

impl Namespace {
    pub(crate) const fn of(subject: &Subject) -> Self {
        Self { netns: subject.netns.0 }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum FamilyJson {
    Ipv4,
    Ipv6,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename = "endpoint"))]
struct End {
    /// Unspecified when there is none.
    #[cfg_attr(test, schemars(with = "String"))]
    addr: IpAddr,
    /// 0 when there is none, or when the kernel has not chosen it yet.
    port: u16,
}

impl End {
    #[inline]
    const fn of(Endpoint { address, port }: Endpoint) -> Self {
        Self { addr: address, port }
    }
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct Connected {
    /// Who connected to whom; null for listeners and when nothing tells.
    #[cfg_attr(test, schemars(schema_with = "schema::direction"))]
    direction: Option<Opened>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Opened {
    Outgoing,
    Incoming,
    Both,
}

impl Connected {
    #[inline]
    pub(crate) fn of(subject: &Subject) -> Self {
        let word = |direction| match direction {
            Direction::Outgoing => Opened::Outgoing,
            Direction::Incoming => Opened::Incoming,
            Direction::Both => Opened::Both,
        };
        Self { direction: subject.direction.map(word) }
    }
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct Owned<'a> {
    /// The owner; null when nothing tells.
    process: Option<OwnerJson<'a>>,
}

impl<'a> Owned<'a> {
    #[inline]
    pub(crate) fn of(subject: &'a Subject) -> Self {
        Self { process: subject.process.as_ref().map(OwnerJson::of) }
    }
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema), schemars(rename = "process"))]
pub(crate) struct OwnerJson<'a> {
    /// Process (thread group) id in the pid namespace that tcpwatch runs in; null for a process outside of
    /// it.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pid: Option<u32>,
    /// The process's own name for itself, as the kernel keeps it: that of its first thread.
    #[cfg_attr(test, schemars(with = "String", length(max = 15)))]
    comm: ForeignText<'a>,
    /// Name of the thread that was seen, where it differs; absent where it does not, and where only the
    /// process is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String", length(max = 15)))]
    thread: Option<ForeignText<'a>>,
    /// Real user id, in the initial user namespace; of a process found in /proc as the user namespace of
    /// tcpwatch has it. Absent in recordings of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "u32"))]
    uid: Option<u32>,
    /// How the owner is known, strongest first; a stronger way replaces a weaker one. close: it called
    /// `close()` or `shutdown()`, or ended with the socket; io: it received or sent data; fd: it had the socket
    /// open when tcpwatch started; connect: it called `connect()`; listen: it called `listen()` on this
    /// listener, or, a guess, on the listener that accepted the connection.
    #[cfg_attr(test, schemars(schema_with = "schema::via"))]
    via: Word,
}

impl<'a> OwnerJson<'a> {
    #[inline]
    fn of(process: &'a Process) -> Self {
        let Process { pid, ref comm, ref thread, uid, via } = *process;
        Self {
            pid,
            comm: ForeignText(comm.as_bytes()),
            thread: thread.as_ref().map(|thread| ForeignText(thread.as_bytes())),
            uid,
            via: Word(via.word()),
        }
    }
}

/// Losses by cause.
#[derive(Debug)]
pub(crate) struct LossesJson<'a>(pub(crate) &'a BTreeMap<Cause, u64>);

impl Serialize for LossesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(cause, count)| (Word(cause.word()), count)))
    }
}

/// How long after `at` the kernel's timer ends a state.
pub(super) fn ends_in(at: KernelTime, ends_at: Option<KernelTime>) -> Option<Seconds> {
    ends_at.map(|ends_at| Seconds(ends_at.since(at)))
}
