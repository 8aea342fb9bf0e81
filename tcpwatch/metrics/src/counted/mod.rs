//! Sockets by state and cgroup, counted by the kernel side instead of listed: a scrape reads maps, whatever the number
//! of sockets. A walk beside the scrapes enters what was there before, and finds what was missed.

mod ledger;
mod owners;
mod states;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use anyhow::Result;
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    probe::{Books, Losses, books::CELLS_ROOM},
    source::{cgroups::CgroupNames, snapshot::SnapshotScope},
};

use self::{
    ledger::{Ledger, Stand},
    states::LABELS,
};
pub use owners::CgroupLabels;
pub(crate) use owners::UNKNOWN;

use crate::{background::Chore, collector::Collector, family::ScrapeFamily, kernel::number};

/// Sockets in all network namespaces, or in one.
pub struct CountedSockets {
    ledger: Arc<Ledger>,
    owners: Arc<Mutex<CgroupLabels>>,
    covers: String,
}

impl CountedSockets {
    /// The collector, and the walks that are to be made in the background.
    pub(crate) fn new(
        books: Books,
        netns: Option<Netns>,
        losses: Arc<Losses>,
        owners: Arc<Mutex<CgroupLabels>>,
    ) -> (Self, Chore) {
        let scope = netns.map_or(SnapshotScope::Every, SnapshotScope::Only);
        let ledger = Arc::new(Ledger::new(books));
        let walks = watch::chore(Arc::clone(&ledger), scope, losses);
        let covers = netns.map_or("All network namespaces.".to_owned(), |netns| {
            format!("Network namespace {}.", netns.0)
        });
        (Self { ledger, owners, covers }, walks)
    }

    fn gauge(&self, name: &str, help: &str) -> ScrapeFamily {
        ScrapeFamily::gauge(name, &format!("{help} {}", self.covers))
    }

    fn sockets(&self, stand: &Stand) -> ScrapeFamily {
        let mut family = self.gauge(
            "tcpwatch_sockets",
            "TCP sockets by state: those that have entered it and not left it, counted in the kernel, and those that a \
             walk has found. half_open are connections that wait for the last segment of their handshake; \
             fin_wait_2_or_time_wait are sockets that were closed in FIN_WAIT_2, which may have become TIME_WAIT since, \
             because no hook runs between the two. Sockets that are only bound are in none.",
        );
        for (place, label) in LABELS {
            let sum: i64 = stand.sockets.values().filter_map(|row| row.get(place)).sum();
            family.add(&[("state", label)], gauge_value(sum));
        }
        family
    }

    fn by_cgroup(&self, stand: &Stand) -> ScrapeFamily {
        let mut family = self.gauge(
            "tcpwatch_cgroup_sockets",
            "tcpwatch_sockets by cgroup (systemd unit, container), mini-sockets under that of the socket or listener that \
             they come from. The first 20 cgroups have series of their own while they exist, the rest is other; unknown \
             are cgroups that have gone or cannot be seen from here, and mini-sockets from before the start.",
        );
        let sums: BTreeMap<u32, i64> =
            stand.sockets.iter().map(|(cgroup, row)| (*cgroup, row.iter().sum())).collect();
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.settle(&sums, Instant::now());
        let mut rows: BTreeMap<&str, [i64; 16]> = BTreeMap::new();
        for label in owners.labels() {
            rows.insert(label, [0; 16]);
        }
        for (cgroup, row) in &stand.sockets {
            let sums = rows.entry(owners.label(*cgroup)).or_default();
            sums.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
        }
        for (cgroup, row) in rows {
            for (place, state) in LABELS {
                let count = row.get(place).copied().unwrap_or_default();
                family.add(&[("cgroup", cgroup), ("state", state)], gauge_value(count));
            }
        }
        family
    }

    fn maps(&self, stand: &Stand) -> [ScrapeFamily; 2] {
        let marks: i64 = stand.sockets.values().map(|row| states::minis(row)).sum();
        let cells = stand.sockets.len();
        let help = "Entries of the kernel side's tables: mini-sockets that are counted (marks), and cgroups that sockets \
                    are counted for (cells).";
        let room = "Entries for which they have room. Mini-sockets above it are not counted, sockets of other cgroups \
                    are counted as unknown.";
        [
            ScrapeFamily::gauge("tcpwatch_books_entries", help)
                .with(&[("map", "marks")], gauge_value(marks))
                .with(&[("map", "cells")], number(u64::try_from(cells).unwrap_or(u64::MAX))),
            ScrapeFamily::gauge("tcpwatch_books_max_entries", room)
                .with(&[("map", "marks")], self.ledger.marks_room().into())
                .with(&[("map", "cells")], CELLS_ROOM.into()),
        ]
    }
}

impl Collector for CountedSockets {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let Some(stand) = self.ledger.stand()? else {
            anyhow::bail!("sockets from before the start have not been listed yet")
        };
        families.push(self.sockets(&stand));
        families.push(self.by_cgroup(&stand));
        families.extend(self.maps(&stand));
        families.extend(walk(&stand));
        Ok(())
    }
}

/// A count as a value: a state is never less than empty, although more can have left it for a moment, while the cells of
/// several CPUs are read one after the other.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn gauge_value(count: i64) -> f64 {
    if count < 0 { 0.0 } else { count as f64 }
}

/// What the last walk was like, and what the walks have corrected.
fn walk(stand: &Stand) -> Vec<ScrapeFamily> {
    let drift = "Sockets that walks have corrected tcpwatch_sockets by: missing ones were not counted, surplus ones have \
                 gone without being counted, because a hook was skipped, as two walks 5 minutes apart agree; among them are \
                 sockets of namespaces that only an open file holds, which no walk comes to.";
    let drift = ScrapeFamily::counter("tcpwatch_sockets_drift_total", drift)
        .with(&[("direction", "missing")], number(stand.missing))
        .with(&[("direction", "surplus")], number(stand.surplus));
    let unmet = "Full sockets that are counted and that the last walk did not come to: sockets of namespaces that no \
                 process, thread or mount holds, such as orphans after their container has gone, and sockets whose end was \
                 missed.";
    let unmet = ScrapeFamily::gauge("tcpwatch_sockets_unmet", unmet).with(&[], number(stand.unmet));
    let mut families = vec![drift, unmet];
    if let Some(last) = stand.last {
        let at = "When a program last went through all sockets, as Unix time: every 5 minutes, and 30 s after the kernel \
                  skipped a hook.";
        let unix = last.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        families.push(
            ScrapeFamily::gauge("tcpwatch_sockets_walk_timestamp_seconds", at)
                .with(&[], unix.as_secs_f64()),
        );
        families.push(
            ScrapeFamily::gauge("tcpwatch_sockets_walk_duration_seconds", "How long that took.")
                .with(&[], last.took.as_secs_f64()),
        );
        let reach = "Network namespaces that it went through, and those that could not be entered.";
        let count = |count: usize| number(u64::try_from(count).unwrap_or(u64::MAX));
        families.push(
            ScrapeFamily::gauge("tcpwatch_sockets_walk_network_namespaces", reach)
                .with(&[("outcome", "walked")], count(last.walked))
                .with(&[("outcome", "skipped")], count(last.skipped)),
        );
    }
    families
}

/// The names of cgroups, which several collectors share.
pub(crate) type Names = Arc<Mutex<CgroupNames>>;
