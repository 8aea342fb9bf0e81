//! Looks once at every network namespace that can be reached, for [`HostFacts`]: sockets, queues of listeners,
//! counters and sysctls.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::IpAddr,
    path::Path,
    time::Duration,
};

use tcpwatch_core::{
    event::{CgroupId, Endpoint, Netns, SocketTimerKind, TcpState, Waiter},
    facts::{HostFacts, ListenerFacts, MOST_SOCKETS, NetnsFacts, PortUse},
};

use super::{DumpError, SnapshotError, SnapshotScope, sock_diag, visit::visit};
use crate::{
    clock,
    source::{
        local_ports::LocalPorts,
        netstat::{NETSTAT, counter},
        sysctls,
    },
};

/// Shows the namespace of the thread that reads.
const SYSCTLS: &str = "/proc/sys/net";

/// Counters of [`NETSTAT`] (`snmp4_net_list`, `net/ipv4/proc.c`).
const COUNTERS: [&str; 9] = [
    "ListenDrops",
    "ListenOverflows",
    "SyncookiesFailed",
    "SyncookiesRecv",
    "SyncookiesSent",
    "TCPReqQFullDoCookies",
    "TCPReqQFullDrop",
    "TCPTimeWaitOverflow",
    "TWRecycled",
];
/// Sysctls that hold one number each, in [`SYSCTLS`].
const NUMBERS: [&str; 13] = [
    "core/somaxconn",
    "ipv4/tcp_abort_on_overflow",
    "ipv4/tcp_fin_timeout",
    "ipv4/tcp_keepalive_intvl",
    "ipv4/tcp_keepalive_probes",
    "ipv4/tcp_keepalive_time",
    "ipv4/tcp_max_syn_backlog",
    "ipv4/tcp_max_tw_buckets",
    "ipv4/tcp_retries2",
    "ipv4/tcp_syn_retries",
    "ipv4/tcp_syncookies",
    "ipv4/tcp_timestamps",
    "ipv4/tcp_tw_reuse",
];

/// A connection from which nothing came for this long is idle.
const IDLE: Duration = Duration::from_secs(10);
/// Retransmission timeouts without an answer from which a connection is worth a second look.
const UNANSWERED: u8 = 2;
/// Unread bytes from which a connection is worth a second look.
const UNREAD: u32 = 1 << 15;
/// Destinations that are kept of each namespace.
const MOST_DESTINATIONS: usize = 16;

/// Looks around in `scope`. Namespaces other than the caller's take `CAP_SYS_ADMIN`; one that cannot be looked at
/// is named in [`HostFacts::unseen`]. Takes some microseconds for each socket.
pub fn host_facts(scope: SnapshotScope) -> Result<HostFacts, SnapshotError> {
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    let visited = visit(scope, |netns| {
        match look(netns) {
            Ok(facts) => seen.push(facts),
            Err(why) => unseen.push(format!("network namespace {}: {why}", netns.0)),
        }
        Ok(())
    })?;
    unseen.extend(visited.skipped.iter().map(ToString::to_string));
    let hidden = visited.hidden_processes;
    if hidden > 0 && scope == SnapshotScope::Every {
        unseen.push(format!(
            "the network namespaces of {hidden} processes, which takes CAP_SYS_PTRACE (root)"
        ));
    }
    Ok(HostFacts { at: clock::now(), namespaces: seen, unseen })
}

/// The namespace of the calling thread.
fn look(netns: Netns) -> Result<NetnsFacts, DumpError> {
    let ports = LocalPorts::read().ok();
    let mut gathered = Gathered::default();
    sock_diag::waiters(netns, |waiter| gathered.add(waiter, ports.as_ref()))?;
    let netstat = fs::read_to_string(NETSTAT).unwrap_or_default();
    let counters =
        COUNTERS.iter().filter_map(|name| Some(((*name).to_owned(), counter(&netstat, name)?)));
    let numbers = NUMBERS.iter().filter_map(|name| Some(((*name).to_owned(), number(name)?)));
    let Gathered { mut listeners, half_open, sockets, destinations } = gathered;
    for listener in &mut listeners {
        listener.half_open = half_open.get(&listener.local.port).copied().unwrap_or(0);
    }
    Ok(NetnsFacts {
        netns,
        counters: counters.collect(),
        sysctls: numbers.collect(),
        ports: ports.map_or(0, |ports| ports.size()),
        listeners,
        sockets,
        destinations: busiest(destinations),
    })
}

/// What is kept of a list of sockets.
#[derive(Default)]
struct Gathered {
    listeners: Vec<ListenerFacts>,
    /// By local port.
    half_open: BTreeMap<u16, u32>,
    sockets: Vec<Waiter>,
    destinations: HashMap<(IpAddr, Endpoint), PortCount>,
}

/// Used, in TIME_WAIT, and the cgroup of one.
type PortCount = (u32, u32, Option<CgroupId>);

impl Gathered {
    fn add(&mut self, waiter: &Waiter, ports: Option<&LocalPorts>) {
        let known = &waiter.known;
        let (local, remote) = (known.ends.local, known.ends.remote);
        match known.state {
            TcpState::Listen => self.listeners.push(ListenerFacts {
                socket: known.socket,
                local,
                waiting: waiter.receive_queue,
                most: waiter.send_queue,
                half_open: 0,
                cgroup: known.cgroup,
            }),
            TcpState::SynRecv => *self.half_open.entry(local.port).or_default() += 1,
            _ => {}
        }
        if known.state != TcpState::Listen && ports.is_some_and(|ports| ports.contains(local.port))
        {
            let (used, time_wait, cgroup) =
                self.destinations.entry((local.address, remote)).or_default();
            *used += 1;
            *time_wait += u32::from(known.state == TcpState::TimeWait);
            *cgroup = cgroup.or(known.cgroup);
        }
        if self.sockets.len() < MOST_SOCKETS && is_notable(waiter) {
            self.sockets.push(*waiter);
        }
    }
}

/// Waits for its application or its peer, or may be stuck.
fn is_notable(waiter: &Waiter) -> bool {
    let Waiter { known, timer, .. } = waiter;
    match known.state {
        TcpState::CloseWait => true,
        TcpState::FinWait2 => known.inode != 0,
        TcpState::Established => {
            let stuck = timer.is_some_and(|timer| match timer.kind {
                SocketTimerKind::Retransmit => timer.tries >= UNANSWERED,
                SocketTimerKind::WindowProbe => true,
                SocketTimerKind::Keepalive | SocketTimerKind::TimeWait => false,
            });
            let unread = waiter.receive_queue >= UNREAD;
            stuck || unread || known.inode == 0 || known.quiet.is_some_and(|quiet| quiet >= IDLE)
        }
        TcpState::FinWait1 => timer.is_some_and(|timer| timer.kind == SocketTimerKind::WindowProbe),
        _ => false,
    }
}

fn busiest(destinations: HashMap<(IpAddr, Endpoint), PortCount>) -> Vec<PortUse> {
    let mut uses: Vec<PortUse> = destinations
        .into_iter()
        .map(|((local, remote), (used, time_wait, cgroup))| PortUse {
            local,
            remote,
            used,
            time_wait,
            cgroup,
        })
        .collect();
    uses.sort_unstable_by_key(|port_use| (std::cmp::Reverse(port_use.used), port_use.remote));
    uses.truncate(MOST_DESTINATIONS);
    uses
}

fn number(name: &str) -> Option<u64> {
    sysctls::number(&Path::new(SYSCTLS).join(name)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::snapshot::namespaces;

    #[test]
    fn the_own_namespace_is_looked_at_without_privilege() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = namespaces::own().unwrap();
        let facts = host_facts(SnapshotScope::Only(own)).unwrap();
        let here = facts.of(own).unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = here.listeners.iter().find(|found| found.local.port == port).unwrap();
        assert_eq!(found.waiting, 0);
        assert!(here.ports > 0 && here.counters.contains_key("ListenOverflows"));
        assert_eq!(here.ipv4("tcp_syn_retries"), number("ipv4/tcp_syn_retries"));
    }
}
