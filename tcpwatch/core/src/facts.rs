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

/// Sockets, and listeners, of a part.
const PART: usize = 512;

fn part<T: Clone>(all: &[T], number: usize) -> Vec<T> {
    all.chunks(PART).nth(number).unwrap_or_default().to_vec()
}

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
    /// What was seen in parts of one namespace each, and the rest without any: a line of a recording has a limit.
    pub fn parts(&self) -> impl Iterator<Item = Self> + '_ {
        let of = |here| Self { at: self.at, namespaces: vec![here], unseen: Vec::new() };
        self.namespaces.iter().flat_map(NetnsFacts::parts).map(of)
    }

    /// Puts a part back.
    pub fn add(&mut self, part: Self) {
        for here in part.namespaces {
            match self.namespaces.iter_mut().find(|known| known.netns == here.netns) {
                Some(known) => {
                    known.listeners.extend(here.listeners);
                    known.sockets.extend(here.sockets);
                }
                None => self.namespaces.push(here),
            }
        }
    }

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
    /// The first has all but what is left of the sockets and listeners.
    fn parts(&self) -> impl Iterator<Item = Self> + '_ {
        let count = self.sockets.len().max(self.listeners.len()).div_ceil(PART).max(1);
        (0..count).map(|number| {
            let (listeners, sockets) = (part(&self.listeners, number), part(&self.sockets, number));
            let (netns, ports) = (self.netns, self.ports);
            let (mut counters, mut sysctls) = (BTreeMap::new(), BTreeMap::new());
            let mut destinations = Vec::new();
            if number == 0 {
                (counters, sysctls) = (self.counters.clone(), self.sysctls.clone());
                destinations.clone_from(&self.destinations);
            }
            Self { netns, counters, sysctls, ports, listeners, sockets, destinations }
        })
    }

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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_look_is_put_together_of_its_parts() {
        let local = Endpoint { address: Ipv4Addr::LOCALHOST.into(), port: 1 };
        let listener = |number| ListenerFacts {
            socket: Cookie(number),
            local,
            waiting: 0,
            most: 1,
            half_open: 0,
            cgroup: None,
        };
        let here = |netns, listeners| NetnsFacts {
            netns: Netns(netns),
            counters: [("ListenDrops".to_owned(), 7)].into(),
            sysctls: BTreeMap::new(),
            ports: 3,
            listeners: (1..=listeners).map(listener).collect(),
            sockets: Vec::new(),
            destinations: Vec::new(),
        };
        let namespaces = vec![here(1, 0), here(2, 1300)];
        let facts = HostFacts { at: KernelTime(5), namespaces, unseen: Vec::new() };
        assert_eq!(facts.parts().count(), 4);
        let mut again = HostFacts { at: KernelTime(5), namespaces: Vec::new(), unseen: Vec::new() };
        facts.parts().for_each(|part| again.add(part));
        assert_eq!(again, facts);
    }
}
