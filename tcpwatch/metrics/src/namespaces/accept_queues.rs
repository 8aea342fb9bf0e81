//! The accept queues of listeners, and what listeners drop.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tcpwatch_core::event::Cookie;
use tcpwatch_kernel::source::{cgroups::CgroupNames, snapshot::Surveyed};

use super::{NETNS, reading::NamespaceReading};
use crate::{
    family::ScrapeFamily,
    gauges::slots::{Overflow, SeriesSlots},
    kernel::number,
};

/// The maximal number of listeners with series of their own.
const MOST: usize = 100;
/// The label of listeners without a known cgroup.
const UNKNOWN: &str = "unknown";

/// Namespace, cgroup and port.
type ListenerKey = (Arc<str>, Arc<str>, u16);

/// A socket that listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerReading {
    socket: Cookie,
    port: u16,
    cgroup: Option<u64>,
    queue: Queue,
    /// Modulo 2^32.
    drops: Option<u32>,
}

impl ListenerReading {
    pub(super) fn of(socket: &Surveyed) -> Self {
        Self {
            socket: socket.socket,
            port: socket.ends.local.port,
            cgroup: socket.cgroup,
            queue: Queue { waiting: socket.receive_queue, limit: socket.send_queue },
            drops: socket.drops,
        }
    }
}

/// The length of the queue and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Queue {
    waiting: u32,
    limit: u32,
}

impl Queue {
    /// The one that is closer to its limit, or further above it.
    fn fuller(self, other: Self) -> Self {
        let load = |a: Self, b: Self| u64::from(a.waiting) * u64::from(b.limit.max(1));
        if load(self, other) >= load(other, self) { self } else { other }
    }
}

/// All listeners with one key.
#[derive(Clone, Copy, Debug)]
struct ListenerPort {
    /// The fullest.
    queue: Queue,
    /// What they have dropped since the last reading.
    drops: Option<u64>,
}

/// Names the listeners and adds up what they drop.
#[derive(Debug)]
pub(super) struct AcceptQueues {
    names: Arc<Mutex<CgroupNames>>,
    slots: SeriesSlots<ListenerKey>,
    /// What each socket had dropped when it was read last.
    last: HashMap<Cookie, u32>,
    /// What was dropped on each port: does not decrease when one of several listeners goes.
    drops: BTreeMap<ListenerKey, u64>,
}

impl AcceptQueues {
    pub(super) fn new(names: Arc<Mutex<CgroupNames>>, overflow: Overflow) -> Self {
        let slots = SeriesSlots::new(MOST, overflow);
        Self { names, slots, last: HashMap::new(), drops: BTreeMap::new() }
    }

    fn ports(
        &mut self,
        readings: &BTreeMap<u64, NamespaceReading>,
    ) -> BTreeMap<ListenerKey, ListenerPort> {
        let read =
            readings.values().filter_map(|reading| Some((reading, reading.sockets.as_ref()?)));
        let all: Vec<(&Arc<str>, &ListenerReading)> = read
            .flat_map(|(reading, sockets)| sockets.listeners.iter().map(|it| (&reading.label, it)))
            .collect();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.learn(all.iter().filter_map(|(_, it)| it.cgroup), Instant::now());
        let mut last = HashMap::with_capacity(all.len());
        let mut found: BTreeMap<ListenerKey, ListenerPort> = BTreeMap::new();
        for (netns, listening) in all {
            let before = self.last.get(&listening.socket).copied().unwrap_or(0);
            let drops = listening.drops.map(|drops| u64::from(drops.wrapping_sub(before)));
            last.extend(listening.drops.map(|drops| (listening.socket, drops)));
            let name = listening.cgroup.and_then(|id| names.name(id)).cloned();
            let key = (Arc::clone(netns), name.unwrap_or_else(|| UNKNOWN.into()), listening.port);
            let port =
                found.entry(key).or_insert(ListenerPort { queue: listening.queue, drops: None });
            port.queue = port.queue.fuller(listening.queue);
            port.drops = match (port.drops, drops) {
                (Some(sum), Some(more)) => Some(sum + more),
                (sum, more) => sum.or(more),
            };
        }
        self.last = last;
        found
    }

    /// The queues, of the listeners that have series of their own.
    pub(super) fn families(
        &mut self,
        readings: &BTreeMap<u64, NamespaceReading>,
    ) -> [ScrapeFamily; 3] {
        let ports = self.ports(readings);
        // The fullest ones first.
        let mut present: Vec<_> = ports.iter().collect();
        present.sort_by_key(|(_, port)| std::cmp::Reverse(port.queue.waiting));
        let present = present.into_iter().map(|(key, _)| key.clone());
        self.slots.settle(present, |key| ports.contains_key(key));
        self.drops.retain(|key, _| ports.contains_key(key));
        let mut waiting = ScrapeFamily::gauge(
            "tcpwatch_listener_backlog",
            "Connections in a listener's accept queue, by network namespace, cgroup and port; of several listeners \
             the fullest one (sock_diag). The first 100 have series of their own while they exist. Network namespaces \
             that were entered.",
        );
        let mut limit = ScrapeFamily::gauge(
            "tcpwatch_listener_backlog_limit",
            "The limit of the same accept queue, the smaller one of listen's argument and somaxconn; the kernel lets in \
             one connection more.",
        );
        let mut dropped = ScrapeFamily::older_counter(
            "tcpwatch_listener_drops_total",
            "Connection requests and completed handshakes that these listeners have dropped, overflows of the accept \
             queue included, since the listeners were made (SK_MEMINFO_DROPS of sock_diag).",
        );
        for (key, port) in &ports {
            let drops = port.drops.map(|more| {
                let sum = self.drops.entry(key.clone()).or_default();
                *sum += more;
                *sum
            });
            if !self.slots.admits(key) {
                continue;
            }
            let (netns, cgroup, number_of_port) = key;
            let local_port = number_of_port.to_string();
            let labels =
                [(NETNS, &**netns), ("cgroup", &**cgroup), ("local_port", local_port.as_str())];
            waiting.add(&labels, port.queue.waiting.into());
            limit.add(&labels, port.queue.limit.into());
            if let Some(drops) = drops {
                dropped.add(&labels, number(drops));
            }
        }
        [waiting, limit, dropped]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_queue_is_the_one_closer_to_its_limit() {
        let queue = |waiting, limit| Queue { waiting, limit };
        for (fuller, other) in [
            (queue(5, 8), queue(60, 128)),
            (queue(1, 0), queue(0, 0)),
            (queue(u32::MAX, 1), queue(1, u32::MAX)),
            (queue(129, 128), queue(128, 128)),
        ] {
            assert_eq!(fuller.fuller(other), fuller);
            assert_eq!(other.fuller(fuller), fuller);
        }
    }
}
