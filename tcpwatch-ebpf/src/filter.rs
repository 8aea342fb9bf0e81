//! Decides which changes the filters reject, the cheapest test first. Each question that the command line
//! did not ask is removed by the verifier, because its switch is a frozen zero.

use aya_ebpf::btf_maps::lpm_trie::Key;
use tcpwatch_common::config::{
    FILTER_ADDRESS, FILTER_LOCAL_PORT, FILTER_NETNS, FILTER_PORT, FILTER_REMOTE_PORT, FILTER_V4,
    FILTER_V6, PortSet,
};

use crate::{
    kernel::{Addresses, Sock, TcpSock},
    maps::{self, PORTS, PREFIXES_V4, PREFIXES_V6},
    refused,
};

/// What the filter has to say about a socket's ports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortsVerdict {
    Wanted,
    /// A port that was asked for is not chosen yet.
    Undecided,
    Unwanted,
}

/// Is one of these `FILTER_*` switches set?
#[inline(always)]
pub(crate) fn asked(switch: u32) -> bool {
    maps::FILTERS.load() & switch != 0
}

/// Is this network namespace wanted?
#[inline(always)]
pub(crate) fn netns(inode: u32) -> bool {
    !asked(FILTER_NETNS) || maps::FILTER_NETNS_INODE.load() == inode
}

/// Is there any question about ports?
#[inline(always)]
pub(crate) fn asks_ports() -> bool {
    asked(FILTER_PORT | FILTER_LOCAL_PORT | FILTER_REMOTE_PORT)
}

/// Are these ports wanted? A port of 0 is not known yet.
#[inline(always)]
pub(crate) fn ports((local, remote): (u16, u16)) -> PortsVerdict {
    let mut verdict = PortsVerdict::Wanted;
    if asked(FILTER_PORT) && !in_set(PortSet::Any, local) && !in_set(PortSet::Any, remote) {
        if local != 0 && remote != 0 {
            return PortsVerdict::Unwanted;
        }
        verdict = PortsVerdict::Undecided;
    }
    if asked(FILTER_LOCAL_PORT) && !in_set(PortSet::Local, local) {
        if local != 0 {
            return PortsVerdict::Unwanted;
        }
        verdict = PortsVerdict::Undecided;
    }
    if asked(FILTER_REMOTE_PORT) && !in_set(PortSet::Remote, remote) {
        if remote != 0 {
            return PortsVerdict::Unwanted;
        }
        verdict = PortsVerdict::Undecided;
    }
    verdict
}

/// The same for a socket whose ports are all known; one that is not cannot be wanted.
#[inline(always)]
pub(crate) fn known_ports(known: (u16, u16)) -> bool {
    ports(known) == PortsVerdict::Wanted
}

/// What is known of a wanted socket.
#[derive(Clone, Copy)]
pub(crate) struct WantedSocket {
    pub(crate) ports: (u16, u16),
    pub(crate) netns: u32,
}

/// Is what happens to this socket wanted, as far as its addresses do not matter? `tcp` is the socket itself,
/// or the listener that has it.
#[inline(always)]
pub(crate) fn socket(sock: Sock, tcp: TcpSock) -> Option<WantedSocket> {
    let ports = (sock.bound_port(), sock.remote_port());
    if !known_ports(ports) {
        return None;
    }
    let netns = tcp.netns();
    let wanted = self::netns(netns) && !refused::cgroup(|| tcp.cgroup());
    wanted.then_some(WantedSocket { ports, netns })
}

/// Is a listener on this port wanted? It has no remote port. Without `bind()` its port is chosen after
/// LISTEN was entered.
#[inline(always)]
pub(crate) fn listener_port(local: u16) -> PortsVerdict {
    if asked(FILTER_REMOTE_PORT) {
        return PortsVerdict::Unwanted;
    }
    if asked(FILTER_PORT) && !in_set(PortSet::Any, local)
        || asked(FILTER_LOCAL_PORT) && !in_set(PortSet::Local, local)
    {
        return if local == 0 { PortsVerdict::Undecided } else { PortsVerdict::Unwanted };
    }
    PortsVerdict::Wanted
}

#[inline(always)]
fn in_set(set: PortSet, port: u16) -> bool {
    PORTS.get(set.word(port)).is_some_and(|word| word & PortSet::bit(port) != 0)
}

/// Is one of these addresses wanted, and is the family?
#[inline(always)]
pub(crate) fn addresses(addresses: &Addresses) -> bool {
    match addresses {
        Addresses::V4 { local, remote } => v4(*local, *remote),
        Addresses::V6 { local, remote } => v6(*local, *remote),
    }
}

/// The same for IPv4.
#[inline(always)]
pub(crate) fn v4(local: [u32; 1], remote: [u32; 1]) -> bool {
    if asked(FILTER_V6) {
        return false;
    }
    !asked(FILTER_ADDRESS)
        || PREFIXES_V4.get(&Key::new(32, local)).is_some()
        || PREFIXES_V4.get(&Key::new(32, remote)).is_some()
}

/// The same for IPv6.
#[inline(always)]
pub(crate) fn v6(local: [u32; 4], remote: [u32; 4]) -> bool {
    if asked(FILTER_V4) {
        return false;
    }
    !asked(FILTER_ADDRESS)
        || PREFIXES_V6.get(&Key::new(128, local)).is_some()
        || PREFIXES_V6.get(&Key::new(128, remote)).is_some()
}
