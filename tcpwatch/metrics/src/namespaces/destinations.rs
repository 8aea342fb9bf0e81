//! How many local ports connections to each destination take.
//!
//! A connection is identified by its four-tuple, so every local port can be used once for each destination; timewait
//! mini-sockets keep theirs occupied. Whatever has a port that `connect()` may choose counts, also what was bound to it.

use std::{cmp::Reverse, net::IpAddr, num::NonZero, time::Duration};

use rustc_hash::FxHashMap;
use tcpwatch_core::event::{Endpoint, KnownKind};
use tcpwatch_kernel::source::{local_ports::LocalPorts, snapshot::Surveyed};

/// Destinations of one namespace that are told apart; the ports of further ones are in the sum only. A table of hashbrown
/// with 131,072 places takes so many.
pub(super) const MOST: usize = 114_688;
/// The busiest ones, of which more is kept.
const BUSIEST: usize = 20;

/// `TCP_TIMEWAIT_LEN` (`include/net/tcp.h`) is so many times [`STEP`].
pub(super) const STEPS: usize = 6;
/// Time in TIME_WAIT is told apart in steps of this length, in seconds.
pub(super) const STEP: u16 = 10;

/// A local address and a destination.
pub(super) type PortRoute = (IpAddr, Endpoint);

/// The ports that connections on one route take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DestinationUse {
    pub(super) route: PortRoute,
    pub(super) open: u16,
    /// Those in TIME_WAIT, by the time left: up to 10 s, up to 20 s, and so on.
    pub(super) waiting: [u16; STEPS],
    /// When the first of those leaves.
    pub(super) next_free: Option<Duration>,
    pub(super) owner: OwnerSeen,
}

/// The cgroup of the connections that have one: timewait mini-sockets have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OwnerSeen {
    #[default]
    Unknown,
    One(u64),
    Several,
}

impl OwnerSeen {
    fn add(self, other: Option<u64>) -> Self {
        match (self, other) {
            (Self::Unknown, Some(cgroup)) => Self::One(cgroup),
            (Self::One(known), Some(cgroup)) if known != cgroup => Self::Several,
            _ => self,
        }
    }
}

/// The same in less room, without the route.
#[derive(Clone, Copy, Debug, Default)]
struct RouteTally {
    open: u16,
    waiting: [u16; STEPS],
    /// In milliseconds.
    next_free: Option<NonZero<u32>>,
    owner: OwnerSeen,
}

const _: () = assert!(size_of::<(PortRoute, RouteTally)>() <= 100, "see the module above");

impl RouteTally {
    fn add(&mut self, socket: &Surveyed) {
        self.owner = self.owner.add(socket.cgroup);
        if socket.kind != KnownKind::TimeWait {
            self.open = self.open.saturating_add(1);
            return;
        }
        let left = socket.time_left.unwrap_or_default();
        let step = usize::try_from(left.as_secs() / u64::from(STEP)).unwrap_or(STEPS);
        if let Some(count) = self.waiting.get_mut(step.min(STEPS - 1)) {
            *count = count.saturating_add(1);
        }
        let left = u32::try_from(left.as_millis()).ok().and_then(NonZero::new);
        let left = left.unwrap_or(NonZero::<u32>::MIN);
        self.next_free = Some(self.next_free.map_or(left, |next| next.min(left)));
    }

    fn of(self, route: PortRoute) -> DestinationUse {
        let Self { open, waiting, next_free, owner } = self;
        let next_free = next_free.map(|left| Duration::from_millis(left.get().into()));
        DestinationUse { route, open, waiting, next_free, owner }
    }
}

impl DestinationUse {
    /// In TIME_WAIT, or an orphan in FIN_WAIT_2.
    pub(super) fn in_time_wait(&self) -> u32 {
        self.waiting.iter().copied().map(u32::from).sum()
    }

    /// All of them.
    pub(super) fn ports(&self) -> u32 {
        u32::from(self.open) + self.in_time_wait()
    }
}

/// Sockets on an ephemeral port by their own address and the destination.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    by_route: FxHashMap<PortRoute, RouteTally>,
    taken: u32,
}

impl Destinations {
    pub(super) fn add(&mut self, socket: &Surveyed, ephemeral: &LocalPorts) {
        let (local, remote) = (socket.ends.local, socket.ends.remote);
        if !ephemeral.contains(local.port) {
            return;
        }
        self.taken += 1;
        let route = (local.address, remote);
        if self.by_route.len() < MOST || self.by_route.contains_key(&route) {
            self.by_route.entry(route).or_default().add(socket);
        }
    }

    /// How many there are, up to [`MOST`].
    pub(super) fn len(&self) -> usize {
        self.by_route.len()
    }

    /// Ports that are in use for one destination or other, each as often as it is.
    pub(super) const fn taken(&self) -> u32 {
        self.taken
    }

    /// Those with most ports, the busiest one first.
    pub(super) fn busiest(&self) -> Vec<DestinationUse> {
        let order = |it: &DestinationUse| (Reverse(it.ports()), it.route);
        let mut busiest: Vec<DestinationUse> = Vec::with_capacity(BUSIEST + 1);
        for (route, tally) in &self.by_route {
            let it = tally.of(*route);
            let place = busiest.partition_point(|before| order(before) < order(&it));
            if place < BUSIEST {
                busiest.insert(place, it);
                busiest.truncate(BUSIEST);
            }
        }
        busiest
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tcpwatch_core::event::{Cookie, Endpoints, TcpState};

    use super::*;

    fn end(port: u16) -> Endpoint {
        Endpoint { address: Ipv4Addr::LOCALHOST.into(), port }
    }

    fn socket(local: u16, remote: u16, cgroup: Option<u64>) -> Surveyed {
        Surveyed {
            socket: Cookie(1),
            ends: Endpoints { local: end(local), remote: end(remote) },
            state: TcpState::Established,
            kind: KnownKind::Full,
            receive_queue: 0,
            send_queue: 0,
            cgroup,
            last_ack_received: None,
            time_left: None,
            drops: None,
        }
    }

    fn waiting(local: u16, remote: u16, left: u64) -> Surveyed {
        Surveyed {
            state: TcpState::TimeWait,
            kind: KnownKind::TimeWait,
            time_left: Some(Duration::from_secs(left)),
            ..socket(local, remote, None)
        }
    }

    #[test]
    fn each_destination_has_all_ports_for_itself_and_time_wait_keeps_its_port() {
        let ephemeral = LocalPorts::parse("100 199", "").unwrap();
        let mut found = Destinations::default();
        for socket in [
            socket(100, 80, Some(7)),
            socket(101, 80, Some(7)),
            socket(100, 443, Some(7)),
            socket(101, 443, Some(8)),
            socket(80, 105, Some(7)),
            waiting(102, 80, 59),
            waiting(103, 80, 7),
            waiting(104, 80, 61),
        ] {
            found.add(&socket, &ephemeral);
        }
        assert_eq!((found.len(), found.taken()), (2, 7));
        let [first, second] = found.busiest()[..] else { panic!() };
        let expected = DestinationUse {
            route: (end(0).address, end(80)),
            open: 2,
            waiting: [1, 0, 0, 0, 0, 2],
            next_free: Some(Duration::from_secs(7)),
            owner: OwnerSeen::One(7),
        };
        assert_eq!((first, first.ports()), (expected, 5));
        assert_eq!((second.owner, second.ports()), (OwnerSeen::Several, 2));
    }

    #[test]
    fn no_more_than_the_busiest_are_kept_of_any_number() {
        let ephemeral = LocalPorts::parse("100 199", "").unwrap();
        let mut found = Destinations::default();
        for remote in 1..=30_000 {
            for local in 0..=u16::from(remote % 1000 == 7) {
                found.add(&socket(100 + local, remote, None), &ephemeral);
            }
        }
        let busiest = found.busiest();
        assert_eq!(busiest.len(), BUSIEST);
        assert!(busiest.iter().all(|it| it.ports() == 2));
    }
}
