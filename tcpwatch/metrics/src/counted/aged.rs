//! How long sockets have been in states that wait for an application, or for the other end: by cgroup.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tcpwatch_common::{
    KeptSocket,
    state::{CLOSE_WAIT, FIN_WAIT_2, LAST_ACK},
};

use super::labels::CgroupLabels;
use crate::{
    family::ScrapeFamily,
    kernel::{number, unix},
};

/// The states, and their labels.
const STATES: [(u8, &str); 3] =
    [(CLOSE_WAIT, "close_wait"), (FIN_WAIT_2, "fin_wait_2"), (LAST_ACK, "last_ack")];

/// Ages, and their labels.
const AGES: [(u64, &str); 3] =
    [(60_000_000_000, "1m"), (600_000_000_000, "10m"), (3_600_000_000_000, "1h")];

/// Sockets in one state of one cgroup.
#[derive(Clone, Copy, Debug, Default)]
struct AgedSockets {
    /// By `CLOCK_MONOTONIC`.
    oldest_ns: u64,
    older: [u64; AGES.len()],
}

/// What a list says.
#[derive(Clone, Debug)]
pub(super) struct Aged {
    at: SystemTime,
    at_ns: u64,
    took: Duration,
    held_only: bool,
    sockets: BTreeMap<(u32, u32), AgedSockets>,
}

impl Aged {
    /// An empty list, made at this moment, of all sockets or only of those that a process holds.
    pub(super) fn new(at_ns: u64, held_only: bool) -> Self {
        let (at, took, sockets) = (SystemTime::now(), Duration::ZERO, BTreeMap::new());
        Self { at, at_ns, took, held_only, sockets }
    }

    pub(super) fn add(&mut self, socket: &KeptSocket) {
        if !STATES.iter().any(|(state, _)| u32::from(*state) == socket.state) {
            return;
        }
        let age = self.at_ns.saturating_sub(socket.since_ns);
        let of = self.sockets.entry((socket.cgroup, socket.state));
        let of = of.or_insert(AgedSockets { oldest_ns: u64::MAX, older: [0; AGES.len()] });
        of.oldest_ns = of.oldest_ns.min(socket.since_ns);
        for (older, (than, _)) in of.older.iter_mut().zip(AGES) {
            *older += u64::from(age > than);
        }
    }

    pub(super) const fn is_complete_after(&mut self, took: Duration) {
        self.took = took;
    }

    /// With series for all labels, and the oldest socket where there is one.
    pub(super) fn families(&self, labels: &CgroupLabels, covers: &str) -> Vec<ScrapeFamily> {
        let mut sums: BTreeMap<(Arc<str>, u32), AgedSockets> = BTreeMap::new();
        for ((cgroup, state), of) in &self.sockets {
            let key = (Arc::clone(labels.label(*cgroup)), *state);
            let sum = sums.entry(key).or_insert(AgedSockets { oldest_ns: u64::MAX, ..*of });
            if sum.oldest_ns != u64::MAX {
                sum.older.iter_mut().zip(of.older).for_each(|(sum, more)| *sum += more);
            }
            sum.oldest_ns = sum.oldest_ns.min(of.oldest_ns);
        }
        let mut oldest = ScrapeFamily::gauge(
            "tcpwatch_cgroup_sockets_oldest_timestamp_seconds",
            &format!(
                "Since when the oldest full socket in a state is in it, as Unix time; no series where there is none. Of one \
                 from before the start it is the time of the last acknowledgment, in LAST_ACK that of the start: it has \
                 been there for longer. {covers}"
            ),
        );
        let mut close_wait = ScrapeFamily::gauge(
            "tcpwatch_close_wait_oldest_timestamp_seconds",
            &format!(
                "tcpwatch_cgroup_sockets_oldest_timestamp_seconds of CLOSE_WAIT: since when, at the latest, the oldest \
                 socket waits for its application to close it. {covers}"
            ),
        );
        let mut older = ScrapeFamily::gauge(
            "tcpwatch_cgroup_sockets_older",
            &format!(
                "Full sockets that have been in a state for longer than this, at tcpwatch_sockets_list_timestamp_seconds. \
                 {covers}"
            ),
        );
        for label in labels.all() {
            for (state, word) in STATES {
                let of = sums.get(&(Arc::clone(label), state.into()));
                for (place, (_, than)) in AGES.iter().enumerate() {
                    let count = of.and_then(|of| of.older.get(place)).copied().unwrap_or_default();
                    let all = [("cgroup", &**label), ("state", word), ("than", than)];
                    older.add(&all, number(count));
                }
                if let Some(of) = of {
                    let unix = self.unix(of.oldest_ns);
                    oldest.add(&[("cgroup", label), ("state", word)], unix);
                    if state == CLOSE_WAIT {
                        close_wait.add(&[("cgroup", label)], unix);
                    }
                }
            }
        }
        let mut families = vec![oldest, close_wait, older];
        families.extend(self.costs());
        families
    }

    /// A moment of `CLOCK_MONOTONIC` as Unix time.
    fn unix(&self, moment_ns: u64) -> f64 {
        let age = Duration::from_nanos(self.at_ns.saturating_sub(moment_ns));
        let moment = self.at.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        unix(moment)
    }

    fn costs(&self) -> [ScrapeFamily; 3] {
        let at = "When the full sockets that are counted were last listed, as Unix time: every 10 s, or after 50 times \
                  what it took.";
        let whole = "1 if all full sockets that are counted are listed; 0 if the kernel lets programs list only those that a \
                     process holds: then sockets that were not accepted yet and orphans have no age, and drift of full \
                     sockets is not found.";
        [
            ScrapeFamily::gauge("tcpwatch_sockets_list_complete", whole)
                .with(&[], f64::from(u8::from(!self.held_only))),
            ScrapeFamily::gauge("tcpwatch_sockets_list_timestamp_seconds", at)
                .with(&[], unix(self.at)),
            ScrapeFamily::gauge("tcpwatch_sockets_list_duration_seconds", "How long that took.")
                .with(&[], self.took.as_secs_f64()),
        ]
    }
}
