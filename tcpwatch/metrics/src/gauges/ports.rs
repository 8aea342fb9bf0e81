//! How close a destination is to exhausting the ephemeral ports of this host.
//!
//! A connection is identified by its four-tuple, so every local port can be used once for each destination; timewait
//! mini-sockets keep theirs occupied.

use std::{collections::HashMap, net::IpAddr};

use tcpwatch_core::event::{Endpoint, TcpState};
use tcpwatch_kernel::source::{local_ports::LocalPorts, snapshot::Surveyed};

use crate::family::ScrapeFamily;

/// Sockets on an ephemeral port by their own address and the destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations(HashMap<(IpAddr, Endpoint), u32>);

impl Destinations {
    pub(super) fn add(&mut self, socket: &Surveyed, ephemeral: &LocalPorts) {
        let (local, remote) = (socket.ends.local, socket.ends.remote);
        if socket.state != TcpState::Listen && ephemeral.contains(local.port) {
            *self.0.entry((local.address, remote)).or_default() += 1;
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (destination, count) in &other.0 {
            *self.0.entry(*destination).or_default() += count;
        }
    }

    fn busiest(&self) -> u32 {
        self.0.values().copied().max().unwrap_or(0)
    }
}

/// The number of ports.
pub(super) fn size_family(ephemeral: &LocalPorts) -> ScrapeFamily {
    ScrapeFamily::gauge(
        "tcpwatch_ephemeral_ports",
        "Ports that a connection can be made from (ip_local_port_range without \
         ip_local_reserved_ports): so many connections can exist from one address to one \
         destination. Network namespace of this process.",
    )
    .with(&[], ephemeral.size().into())
}

/// The number of ports that the busiest destination uses.
pub(super) fn busiest_family(destinations: &Destinations) -> ScrapeFamily {
    ScrapeFamily::gauge(
        "tcpwatch_ephemeral_ports_busiest_destination",
        "Ephemeral ports in use, TIME_WAIT included, from one local address to the one remote \
         address and port that uses most (sock_diag). Network namespace of this process.",
    )
    .with(&[], destinations.busiest().into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tcpwatch_core::event::{Cookie, Endpoints, KnownKind};

    use super::*;

    fn socket(local: u16, remote: u16, state: TcpState) -> Surveyed {
        let end = |port| Endpoint { address: Ipv4Addr::LOCALHOST.into(), port };
        Surveyed {
            socket: Cookie(1),
            ends: Endpoints { local: end(local), remote: end(remote) },
            state,
            kind: KnownKind::Full,
            receive_queue: 0,
            send_queue: 0,
            cgroup: None,
            last_ack_received: None,
        }
    }

    #[test]
    fn each_destination_has_all_ports_for_itself() {
        let ephemeral = LocalPorts::parse("100 199", "").unwrap();
        let mut live = Destinations::default();
        for (local, remote, state) in [
            (100, 80, TcpState::Established),
            (101, 80, TcpState::SynSent),
            (100, 443, TcpState::Established),
            (102, 0, TcpState::Listen),
            (80, 105, TcpState::Established),
        ] {
            live.add(&socket(local, remote, state), &ephemeral);
        }
        assert_eq!(live.busiest(), 2);
        let mut waiting = Destinations::default();
        waiting.add(&socket(103, 80, TcpState::TimeWait), &ephemeral);
        waiting.add_all(&live);
        assert_eq!(waiting.busiest(), 3, "TIME_WAIT keeps its port");
    }
}
