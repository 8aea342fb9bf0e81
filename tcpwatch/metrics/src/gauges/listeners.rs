//! The accept queues of listeners.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::source::{
    cgroups::CgroupNames,
    snapshot::{Detail, Surveyed, survey},
};

use super::slots::{Overflow, SeriesSlots};
use crate::{collector::Collector, counted::UNKNOWN, family::ScrapeFamily};

/// The maximal number of listeners with series of their own.
const MOST: usize = 50;

/// Cgroup and port.
type ListenerKey = (Arc<str>, u16);

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

/// Lists the listeners.
#[derive(Debug)]
pub(super) struct AcceptQueues {
    names: Arc<Mutex<CgroupNames>>,
    slots: SeriesSlots<ListenerKey>,
}

impl AcceptQueues {
    pub(super) fn new(names: Arc<Mutex<CgroupNames>>, overflow: Overflow) -> Self {
        Self { names, slots: SeriesSlots::new(MOST, overflow) }
    }

    fn named(&self, queues: Vec<(Option<u64>, u16, Queue)>) -> BTreeMap<ListenerKey, Queue> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.learn(queues.iter().filter_map(|(id, ..)| *id), Instant::now());
        let mut found: BTreeMap<ListenerKey, Queue> = BTreeMap::new();
        for (id, port, queue) in queues {
            let name = id.and_then(|id| names.name(id)).cloned();
            let key = (name.unwrap_or_else(|| UNKNOWN.into()), port);
            found.entry(key).and_modify(|known| *known = known.fuller(queue)).or_insert(queue);
        }
        found
    }
}

impl Collector for AcceptQueues {
    fn name(&self) -> &'static str {
        "listeners"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> anyhow::Result<()> {
        let add = |queues: &mut Vec<_>, socket: &Surveyed| {
            let queue = Queue { waiting: socket.receive_queue, limit: socket.send_queue };
            queues.push((socket.cgroup, socket.ends.local.port, queue));
        };
        let queues = self.named(survey(&[TcpState::Listen], Detail::Plain, add)?);
        self.slots.settle(queues.keys().cloned(), |key| queues.contains_key(key));
        let mut waiting = ScrapeFamily::gauge(
            "tcpwatch_listener_backlog",
            "Connections in a listener's accept queue, by cgroup and port; of several listeners \
             the fullest one (sock_diag). The first 50 have series of their own while they exist. \
             Network namespace of this process.",
        );
        let mut limit = ScrapeFamily::gauge(
            "tcpwatch_listener_backlog_limit",
            "The limit of the same accept queue, the smaller one of listen's argument and \
             somaxconn; the kernel lets in one connection more. Network namespace of this process.",
        );
        for ((cgroup, port), queue) in queues.iter().filter(|(key, _)| self.slots.admits(key)) {
            let port = port.to_string();
            let labels = [("cgroup", &**cgroup), ("local_port", port.as_str())];
            waiting.add(&labels, queue.waiting.into());
            limit.add(&labels, queue.limit.into());
        }
        families.extend([waiting, limit]);
        Ok(())
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
