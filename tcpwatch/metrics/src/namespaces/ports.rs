//! Ports by destination: used, limit, and when they run out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tcpwatch_kernel::source::cgroups::CgroupNames;

use super::{
    NETNS,
    destinations::{DestinationUse, OwnerSeen, PortRoute},
    forecast::PortDemand,
    reading::{ConnectionReading, NamespaceReading, Reuse},
};
use crate::{
    family::{Label, ScrapeFamily},
    gauges::slots::{OTHER, Overflow, SeriesSlots},
    kernel::{number, unix},
};

/// The maximal number of destinations with series of their own.
const MOST: usize = 20;
/// A destination gets series when it uses one port in so many, and loses them when it uses less than half of that.
const SHARE: u32 = 100;
/// Growth is that of this time,
const SPAN: Duration = Duration::from_mins(5);
/// and is not known before this.
const LEAST: Duration = Duration::from_secs(10);

/// Namespace, local address and destination.
type DestinationKey = (Arc<str>, PortRoute);

/// Keeps what the growth of the busiest destinations is computed from.
#[derive(Debug)]
pub(super) struct PortGauges {
    names: Arc<Mutex<CgroupNames>>,
    slots: SeriesSlots<DestinationKey>,
    seen: BTreeMap<DestinationKey, History>,
}

/// A destination with series of its own.
#[derive(Debug, Default)]
struct History {
    /// Open connections, the oldest first.
    open: VecDeque<(Instant, u16)>,
    owner: DestinationOwner,
    used_up: Option<SystemTime>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum DestinationOwner {
    #[default]
    Unknown,
    One(Arc<str>),
    Several,
}

impl DestinationOwner {
    fn label(&self) -> &str {
        match self {
            Self::Unknown => "unknown",
            Self::One(name) => name,
            Self::Several => "several",
        }
    }

    fn note(&mut self, seen: OwnerSeen, names: &CgroupNames) {
        let name = match seen {
            OwnerSeen::Unknown => return,
            OwnerSeen::One(id) => names.name(id).cloned(),
            OwnerSeen::Several => None,
        };
        match (&*self, name) {
            (Self::Unknown, Some(name)) => *self = Self::One(name),
            (Self::One(known), Some(name)) if *known == name => {}
            // A cgroup that has no name has gone.
            (_, None) if seen != OwnerSeen::Several => {}
            _ => *self = Self::Several,
        }
    }
}

impl History {
    fn note(&mut self, listed: Instant, open: u16) {
        if self.open.back().is_none_or(|(at, _)| *at < listed) {
            self.open.push_back((listed, open));
        }
        let is_old = |at: &Instant| listed.saturating_duration_since(*at) > SPAN;
        while self.open.front().is_some_and(|(at, _)| is_old(at)) {
            self.open.pop_front();
        }
    }

    /// How many more connections there are each second; 0 as long as it is not known, and if they become fewer.
    fn growth(&self) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.open.front(), self.open.back()) else {
            return 0.0;
        };
        let span = to.saturating_duration_since(*from);
        if span < LEAST { 0.0 } else { f64::from(last.saturating_sub(*first)) / span.as_secs_f64() }
    }
}

/// The families, as far as they are made.
struct PortFamilies {
    used: ScrapeFamily,
    out: ScrapeFamily,
    free: ScrapeFamily,
}

impl PortGauges {
    pub(super) fn new(names: Arc<Mutex<CgroupNames>>, overflow: Overflow) -> Self {
        Self { names, slots: SeriesSlots::new(MOST, overflow), seen: BTreeMap::new() }
    }

    /// The families of ports, of namespaces that have series of their own.
    pub(super) fn families(
        &mut self,
        readings: &BTreeMap<u64, NamespaceReading>,
        namespaces: &SeriesSlots<Arc<str>>,
    ) -> Vec<ScrapeFamily> {
        let read: Vec<_> = readings
            .values()
            .filter_map(|reading| Some((reading, reading.connections()?)))
            .filter(|(reading, _)| namespaces.admits(&reading.label))
            .collect();
        self.settle(&read);
        let mut size = ScrapeFamily::gauge(
            "tcpwatch_ephemeral_ports",
            "Ports that a connection can be made from (ip_local_port_range without ip_local_reserved_ports): so many \
             connections can exist from one address to one destination. By network namespace.",
        );
        let mut busiest = ScrapeFamily::gauge(
            "tcpwatch_ephemeral_ports_busiest_destination",
            "Ephemeral ports in use, TIME_WAIT included, from one local address to the one remote address and port that \
             uses most (sock_diag). By network namespace.",
        );
        let mut destinations = ScrapeFamily::gauge(
            "tcpwatch_ephemeral_ports_destinations",
            "Destinations (local address, remote address and port) for which ephemeral ports are in use, by network \
             namespace; counted up to 114688.",
        );
        let mut listed = ScrapeFamily::gauge(
            "tcpwatch_ephemeral_ports_timestamp_seconds",
            "When the connections of the network namespace were listed, from which tcpwatch_time_wait_used and ports in use \
             are, as Unix time: again after 100 times what listing those of all namespaces takes.",
        );
        let mut families = PortFamilies::new();
        for (reading, connections) in read {
            let Some(ports) = connections.ports else { continue };
            let netns = [(NETNS, &*reading.label)];
            size.add(&netns, ports.into());
            listed.add(&netns, unix(connections.at));
            busiest
                .add(&netns, connections.busiest.first().map_or(0, DestinationUse::ports).into());
            let count = u64::try_from(connections.destinations).unwrap_or(u64::MAX);
            destinations.add(&netns, number(count));
            self.add_destinations((reading, connections, ports), &mut families);
        }
        let PortFamilies { used, out, free } = families;
        vec![size, busiest, destinations, used, out, free, listed]
    }

    /// Gives series to destinations that use many ports, the busiest ones first.
    fn settle(&mut self, read: &[(&NamespaceReading, &ConnectionReading)]) {
        let mut present: BTreeMap<DestinationKey, (u32, u32)> = BTreeMap::new();
        for (reading, connections) in read {
            let many = connections.ports.unwrap_or_default().div_ceil(SHARE).max(1);
            for it in &connections.busiest {
                present.insert((Arc::clone(&reading.label), it.route), (it.ports(), many));
            }
        }
        let mut busy: Vec<_> = present.iter().filter(|(_, (ports, many))| ports >= many).collect();
        busy.sort_by_key(|(_, (ports, _))| std::cmp::Reverse(*ports));
        let displaced = self.displaced(&busy);
        let exists = |key: &DestinationKey| {
            let stays = |(ports, many): &(u32, u32)| *ports >= many.div_ceil(2);
            present.get(key).is_some_and(stays) && !displaced.contains(key)
        };
        self.slots.settle(busy.iter().map(|(key, _)| (*key).clone()), exists);
        self.seen.retain(|key, _| self.slots.admits(key));
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let owners = read.iter().flat_map(|(_, connections)| &connections.busiest);
        let ids = owners.filter_map(|it| match it.owner {
            OwnerSeen::One(id) => Some(id),
            OwnerSeen::Unknown | OwnerSeen::Several => None,
        });
        names.learn(ids, Instant::now());
        for (reading, connections) in read {
            for it in &connections.busiest {
                let key = (Arc::clone(&reading.label), it.route);
                if self.slots.admits(&key) {
                    let history = self.seen.entry(key).or_default();
                    history.note(connections.listed, it.open);
                    history.owner.note(it.owner, &names);
                }
            }
        }
    }

    /// Destinations that lose their series to others that use twice as many ports; `busy` has the busiest one first.
    fn displaced(&self, busy: &[(&DestinationKey, &(u32, u32))]) -> BTreeSet<DestinationKey> {
        let (old, new): (Vec<_>, Vec<_>) = busy.iter().partition(|(key, _)| self.slots.admits(key));
        let free = MOST.saturating_sub(old.len());
        let pairs = old.iter().rev().zip(new.iter().skip(free));
        let pairs = pairs.take_while(|((_, (least, _)), (_, (most, _)))| *most >= least * 2);
        pairs.map(|((key, _), _)| (*key).clone()).collect()
    }

    fn add_destinations(
        &mut self,
        (reading, connections, ports): (&NamespaceReading, &ConnectionReading, u32),
        families: &mut PortFamilies,
    ) {
        let mut rest = connections.taken;
        for it in &connections.busiest {
            let Some(history) = self.seen.get_mut(&(Arc::clone(&reading.label), it.route)) else {
                continue;
            };
            rest = rest.saturating_sub(it.ports());
            let (local, remote) = it.route;
            let reusable = match connections.reuse {
                Reuse::Never => false,
                Reuse::Loopback => local.is_loopback() || remote.address.is_loopback(),
                Reuse::Always => true,
            };
            let demand = PortDemand {
                limit: ports,
                open: it.open.into(),
                growth: history.growth(),
                waiting: it.waiting,
                reusable,
            };
            let lasts = demand.lasts();
            let is_out = lasts.is_some_and(|lasts| lasts.is_zero());
            history.used_up = is_out.then(|| history.used_up.unwrap_or(connections.at));
            let out = history.used_up.or_else(|| connections.at.checked_add(lasts?));
            let (local, remote_address) = (local.to_string(), remote.address.to_string());
            let remote_port = remote.port.to_string();
            let labels = [
                (NETNS, &*reading.label),
                ("cgroup", history.owner.label()),
                ("local_address", local.as_str()),
                ("remote_address", remote_address.as_str()),
                ("remote_port", remote_port.as_str()),
            ];
            families.add(&labels, it, connections.at, out);
        }
        let names = ["cgroup", "local_address", "remote_address", "remote_port"];
        let others = names.map(|name| (name, OTHER));
        let labels = [&[(NETNS, &*reading.label)], &others[..], &[("state", "any")]].concat();
        families.used.add(&labels, rest.into());
    }
}

impl PortFamilies {
    fn new() -> Self {
        Self {
            used: ScrapeFamily::gauge(
                "tcpwatch_ephemeral_ports_used",
                "Ephemeral ports in use from one local address to one destination: open, or in TIME_WAIT (sock_diag). \
                 The first 20 destinations that use at least 1 % of the ports have series of their own until they use \
                 less than half of that, or another one uses twice as many as they do; the rest is other, with state any. cgroup is that of the open connections, \
                 several if they belong to more than one, unknown as long as none was seen. A port in TIME_WAIT can be \
                 taken again after 1 s where tcp_tw_reuse allows it.",
            ),
            out: ScrapeFamily::gauge(
                "tcpwatch_ephemeral_ports_exhausted_timestamp_seconds",
                "When the ephemeral ports to this destination run out if connections come and go as in the last \
                 minutes, as Unix time; where there are none left, since when at the latest. No series where that is \
                 not within a day. An estimate: it takes the growth of open connections within 5 minutes and those that \
                 entered TIME_WAIT within 10 s, of which each keeps its port for 60 s, or for 1 s where tcp_tw_reuse \
                 allows it.",
            ),
            free: ScrapeFamily::gauge(
                "tcpwatch_ephemeral_ports_next_free_timestamp_seconds",
                "When the next port to this destination leaves TIME_WAIT, as Unix time; no series if none is in it.",
            ),
        }
    }

    fn add(
        &mut self,
        labels: &[Label<'_>],
        destination: &DestinationUse,
        at: SystemTime,
        out: Option<SystemTime>,
    ) {
        let used = [("open", destination.open.into()), ("time_wait", destination.in_time_wait())];
        for (state, count) in used {
            self.used.add(&[labels, &[("state", state)]].concat(), count.into());
        }
        if let Some(out) = out {
            self.out.add(labels, unix(out));
        }
        if let Some(next) = destination.next_free.and_then(|left| at.checked_add(left)) {
            self.free.add(labels, unix(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(remote: u16) -> DestinationKey {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        ("7".into(), (address, tcpwatch_core::event::Endpoint { address, port: remote }))
    }

    #[test]
    fn a_destination_keeps_its_series_until_one_comes_that_is_twice_as_busy() {
        let mut ports = PortGauges::new(Arc::default(), Overflow::default());
        let old: Vec<_> = (0..20).map(key).collect();
        ports.slots.settle(old.iter().cloned(), |_| true);
        let displaced = |newcomers: &[(u16, u32)]| {
            let mut busy: Vec<_> =
                old.iter().cloned().zip((0..20).map(|at| (300 + at, 282))).collect();
            busy.extend(newcomers.iter().map(|(port, used)| (key(*port), (*used, 282))));
            busy.sort_by_key(|(_, (used, _))| std::cmp::Reverse(*used));
            let busy: Vec<_> = busy.iter().map(|(key, it)| (key, it)).collect();
            ports.displaced(&busy)
        };
        assert!(displaced(&[(90, 599)]).is_empty());
        assert_eq!(displaced(&[(90, 600)]), [key(0)].into());
        assert_eq!(displaced(&[(90, 9000), (91, 602), (92, 601)]), [key(0), key(1)].into());
    }

    #[test]
    fn growth_is_known_after_ten_seconds_and_is_that_of_five_minutes() {
        let base = Instant::now();
        let at = |second| base + Duration::from_secs(second);
        let mut history = History::default();
        history.note(at(0), 100);
        history.note(at(5), 200);
        assert!(history.growth().abs() < f64::EPSILON);
        history.note(at(10), 300);
        assert!((history.growth() - 20.0).abs() < 1e-9);
        history.note(at(10), 900);
        assert!((history.growth() - 20.0).abs() < 1e-9, "the same list");
        history.note(at(305), 300);
        assert!((history.growth() - 100.0 / 300.0).abs() < 1e-9, "since 5 s");
        history.note(at(400), 50);
        assert!(history.growth().abs() < f64::EPSILON, "fewer");
    }
}
