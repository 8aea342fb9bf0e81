//! How close a destination is to exhausting the ephemeral ports of this host.
//!
//! A connection is identified by its four-tuple, so every local port can be used once for each destination; timewait
//! mini-sockets keep theirs occupied.

use std::{collections::HashMap, fs, io, net::IpAddr, ops::RangeInclusive};

use anyhow::Context as _;
use tcpwatch_core::event::{Endpoint, TcpState};
use tcpwatch_kernel::source::snapshot::Surveyed;

use crate::family::ScrapeFamily;

/// Both files are those of the thread's network namespace.
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// The ports that `connect` may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ephemeral {
    range: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
}

impl Ephemeral {
    /// Reads the present settings.
    pub(super) fn read() -> anyhow::Result<Self> {
        let range = fs::read_to_string(RANGE).with_context(|| format!("cannot read {RANGE}"))?;
        let reserved = match fs::read_to_string(RESERVED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {RESERVED}"))?,
        };
        Self::parse(&range, &reserved).with_context(|| {
            format!("{RANGE} holds {range:?} and {RESERVED} {reserved:?}, which are not ports")
        })
    }

    fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut bounds = range.split_whitespace().map(str::parse);
        let range = bounds.next()?.ok()?..=bounds.next()?.ok()?;
        let words = reserved.trim().split(',').filter(|word| !word.is_empty());
        let span = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        Some(Self { range, reserved: words.map(span).collect::<Option<_>>()? })
    }

    fn contains(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.iter().any(|span| span.contains(&port))
    }

    /// The number of ports.
    fn size(&self) -> usize {
        self.range.clone().filter(|port| self.contains(*port)).count()
    }
}

/// Sockets on an ephemeral port by their own address and the destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations(HashMap<(IpAddr, Endpoint), u32>);

impl Destinations {
    pub(super) fn add(&mut self, socket: &Surveyed, ephemeral: &Ephemeral) {
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
pub(super) fn size_family(ephemeral: &Ephemeral) -> ScrapeFamily {
    let size = u32::try_from(ephemeral.size()).unwrap_or(u32::MAX);
    ScrapeFamily::gauge(
        "tcpwatch_ephemeral_ports",
        "Ports that a connection can be made from (ip_local_port_range without \
         ip_local_reserved_ports): so many connections can exist from one address to one \
         destination. Network namespace of this process.",
    )
    .with(&[], size.into())
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
    fn reserved_ports_are_no_ephemeral_ones() {
        let ephemeral = Ephemeral::parse("32768\t60999\n", "8080,40000-40009,60999\n").unwrap();
        assert_eq!(ephemeral.size(), 28_232 - 11);
        for (port, is_one) in [(32_767, false), (32_768, true), (40_005, false), (60_999, false)] {
            assert_eq!(ephemeral.contains(port), is_one, "{port}");
        }
        assert_eq!(Ephemeral::parse("1 65535", "\n").unwrap().size(), 65_535);
        for (range, reserved) in [("", ""), ("1", ""), ("1 65536", ""), ("1 9", "x"), ("1 9", "1-")]
        {
            assert_eq!(Ephemeral::parse(range, reserved), None, "{range:?} {reserved:?}");
        }
    }

    #[test]
    fn each_destination_has_all_ports_for_itself() {
        let ephemeral = Ephemeral::parse("100 199", "").unwrap();
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
