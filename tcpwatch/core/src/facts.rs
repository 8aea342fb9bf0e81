//! What a look at the kernel shows beside its events: counters, sysctls, the queues of listeners, and sockets that
//! stay as they are. Plain values, read by the kernel crate, kept in recordings, judged by `tcpwatch doctor`.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::event::{CgroupId, Cookie, Endpoint, KernelTime, Netns, Waiter};

/// One look at every network namespace that could be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// When the look ended, by the kernel's clock.
    pub at: KernelTime,
    /// What was seen, by namespace.
    pub namespaces: Vec<NetnsFacts>,
    /// What could not be looked at, and why, in words.
    pub unseen: Vec<String>,
}

/// What was seen in one network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetnsFacts {
    /// Which one.
    pub netns: Netns,
    /// Counters of `/proc/net/netstat` (group `TcpExt`) by the kernel's names; they grow from boot on.
    pub counters: BTreeMap<String, u64>,
    /// Sysctls by their path below `/proc/sys/net`, such as `ipv4/tcp_syncookies`; none for one that this kernel
    /// lacks.
    pub sysctls: BTreeMap<String, u64>,
    /// Ports that `connect()` may choose: `ip_local_port_range` without `ip_local_reserved_ports`.
    pub ports: u32,
    /// Every listener.
    pub listeners: Vec<ListenerFacts>,
    /// Sockets that stay as they are and may be stuck, at most [`MOST_SOCKETS`].
    pub sockets: Vec<Waiter>,
    /// The destinations that use most local ports.
    pub destinations: Vec<PortUse>,
}

/// Sockets of one namespace that are kept at most.
pub const MOST_SOCKETS: usize = 4096;

/// A listener's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerFacts {
    /// Which socket.
    pub socket: Cookie,
    /// What it is bound to.
    pub local: Endpoint,
    /// Connections that wait for `accept()`.
    pub waiting: u32,
    /// The limit for those; one more is let in.
    pub most: u32,
    /// Half-open connections to this port, in SYN_RECV.
    pub half_open: u32,
    /// Its cgroup.
    pub cgroup: Option<CgroupId>,
}

/// Local ports in use towards one destination, from one local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortUse {
    /// This host's address.
    pub local: IpAddr,
    /// Where the connections go.
    pub remote: Endpoint,
    /// Ports in use, those in TIME_WAIT included.
    pub used: u32,
    /// Of these, in TIME_WAIT.
    pub time_wait: u32,
    /// The cgroup of one of the sockets.
    pub cgroup: Option<CgroupId>,
}

impl HostFacts {
    /// The sockets of all namespaces that may be stuck.
    pub fn sockets(&self) -> impl Iterator<Item = &Waiter> {
        self.namespaces.iter().flat_map(|here| &here.sockets)
    }

    /// What was seen in this namespace.
    #[must_use]
    pub fn of(&self, netns: Netns) -> Option<&NetnsFacts> {
        self.namespaces.iter().find(|facts| facts.netns == netns)
    }
}

impl NetnsFacts {
    /// A counter, 0 if this kernel does not have it.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// A sysctl of `/proc/sys/net/ipv4`.
    #[must_use]
    pub fn ipv4(&self, name: &str) -> Option<u64> {
        self.sysctls.get(&format!("ipv4/{name}")).copied()
    }
}
