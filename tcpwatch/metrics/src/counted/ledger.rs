//! How many sockets there are: what the kernel side has counted, and what lists have found to be wrong in it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use tcpwatch_common::books::{CgroupCell, FOUND, HALF_OPEN, MAX_REQUEST_MARKS, PLACES};
use tcpwatch_kernel::probe::books::{CELLS_ROOM, CgroupCells};

use super::{
    aged::Aged,
    labels::CgroupLabels,
    rows::{self, PlaceRow, PlaceRows},
    states::{LABELS, is_mini},
    tally::LabelTally,
};
use crate::{
    family::ScrapeFamily,
    kernel::{number, unix},
};

/// The cost and the reach of a walk through all sockets.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookWalk {
    pub(super) at: SystemTime,
    pub(super) took: Duration,
    pub(super) walked: usize,
    pub(super) skipped: usize,
}

/// What is known besides the cells.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Is to be added to what the cells say.
    corrections: PlaceRows,
    /// Sockets that the first walk has found: from before the start.
    first: Option<u64>,
    missing: u64,
    surplus: u64,
    walk: Option<BookWalk>,
    aged: Option<Aged>,
    marks_room: u32,
}

impl Ledger {
    /// With room for so many marks of mini-sockets.
    pub(super) const fn new(marks_room: u32) -> Self {
        Self {
            corrections: PlaceRows::new(),
            first: None,
            missing: 0,
            surplus: 0,
            walk: None,
            aged: None,
            marks_room,
        }
    }

    pub(super) const fn corrections(&self) -> &PlaceRows {
        &self.corrections
    }

    /// A walk was made, or failed. What later ones find was missing in the books.
    pub(super) fn walked(&mut self, walk: Option<BookWalk>, cells: &CgroupCells) {
        let found = found(cells);
        let before = *self.first.get_or_insert(found);
        self.missing += found.saturating_sub(before);
        self.first = Some(found);
        self.walk = walk.or(self.walk);
    }

    /// A list of full sockets was made.
    pub(super) fn listed(&mut self, aged: Aged) {
        self.aged = Some(aged);
    }

    /// Takes surplus sockets away, and adds those that are missing.
    pub(super) fn correct(&mut self, surplus: &PlaceRows) {
        for (cgroup, row) in surplus {
            for (place, number) in row.iter().enumerate().filter(|(_, number)| **number != 0) {
                rows::add(&mut self.corrections, *cgroup, place, -number);
                self.surplus += (*number).max(0).unsigned_abs();
                self.missing += (*number).min(0).unsigned_abs();
            }
        }
    }

    /// Has a cgroup no sockets?
    pub(super) fn is_empty(&self, cgroup: u32, cell: &CgroupCell) -> bool {
        let corrected = self.corrections.get(&cgroup).copied().unwrap_or_default();
        let counted = |place| tcpwatch_kernel::probe::books::sockets(cell, place);
        corrected.iter().enumerate().skip(1).all(|(place, more)| counted(place) + more == 0)
    }

    /// A cgroup is counted no longer.
    pub(super) fn forget(&mut self, cgroup: u32) {
        self.corrections.remove(&cgroup);
    }

    /// Adds the metrics about sockets, as soon as those from before the start have been found.
    pub(super) fn collect(
        &self,
        tally: &LabelTally,
        covers: &str,
        families: &mut Vec<ScrapeFamily>,
    ) -> Result<()> {
        anyhow::ensure!(self.first.is_some(), "sockets from before the start are still looked for");
        let cells = &tally.counted().cells;
        let mut sockets = rows::of(cells);
        for (cgroup, row) in &self.corrections {
            row.iter().enumerate().for_each(|(place, more)| {
                rows::add(&mut sockets, *cgroup, place, *more);
            });
        }
        families.push(by_state(&sockets, covers));
        families.push(by_cgroup(&sockets, tally.labels(), covers));
        families.extend(self.aged.iter().flat_map(|aged| aged.families(tally.labels(), covers)));
        families.extend(self.tables(&sockets));
        families.push(self.drift());
        families.extend(self.walk.iter().flat_map(walk));
        Ok(())
    }

    fn tables(&self, sockets: &PlaceRows) -> [ScrapeFamily; 2] {
        let minis = sockets.values().flat_map(|row| row.iter().enumerate());
        let minis = minis.filter(|(place, _)| is_mini(*place));
        let (mut timewait, mut requests) = (0, 0);
        for (place, count) in minis {
            let sum = if place == usize::from(HALF_OPEN) { &mut requests } else { &mut timewait };
            *sum += count;
        }
        let cgroups = number(u64::try_from(sockets.len()).unwrap_or(u64::MAX));
        let help = "Entries of the kernel side's tables: timewait sockets that are counted (timewait), half-open connections \
                    that are (half_open), and cgroups (cells; each takes two to four).";
        let room = "Entries for which they have room. Mini-sockets above it are not counted, what happens in other \
                    cgroups is counted as unknown.";
        [
            ScrapeFamily::gauge("tcpwatch_books_entries", help)
                .with(&[("map", "timewait")], gauge_value(timewait))
                .with(&[("map", "half_open")], gauge_value(requests))
                .with(&[("map", "cells")], cgroups),
            ScrapeFamily::gauge("tcpwatch_books_max_entries", room)
                .with(&[("map", "timewait")], self.marks_room.into())
                .with(&[("map", "half_open")], MAX_REQUEST_MARKS.into())
                .with(&[("map", "cells")], CELLS_ROOM.into()),
        ]
    }

    fn drift(&self) -> ScrapeFamily {
        let help = "Sockets that tcpwatch_sockets was corrected by, because a hook was skipped or a table was full: missing \
                    ones existed and were not counted, surplus ones were counted and existed no longer. Full sockets are \
                    compared every time they are listed.";
        ScrapeFamily::counter("tcpwatch_sockets_drift_total", help)
            .with(&[("direction", "missing")], number(self.missing))
            .with(&[("direction", "surplus")], number(self.surplus))
    }
}

/// Sockets that walks have counted.
fn found(cells: &CgroupCells) -> u64 {
    let of = |cell: &CgroupCell| cell.iter().skip(FOUND + 1).take(PLACES - 1).sum::<u64>();
    cells.values().map(|cell| of(cell)).sum()
}

fn by_state(sockets: &PlaceRows, covers: &str) -> ScrapeFamily {
    let mut family = ScrapeFamily::gauge(
        "tcpwatch_sockets",
        &format!(
            "TCP sockets by state: those that have entered it and not left it, counted in the kernel, and those that a walk \
             has found. half_open are connections that wait for the last segment of their handshake; \
             fin_wait_2_or_time_wait are sockets that were closed in FIN_WAIT_2, which may have become TIME_WAIT since, \
             because no hook runs between the two. Sockets that are only bound are in none. {covers}"
        ),
    );
    for (place, label) in LABELS {
        let sum: i64 = sockets.values().filter_map(|row| row.get(place)).sum();
        family.add(&[("state", label)], gauge_value(sum));
    }
    family
}

fn by_cgroup(sockets: &PlaceRows, labels: &CgroupLabels, covers: &str) -> ScrapeFamily {
    let mut family = ScrapeFamily::gauge(
        "tcpwatch_cgroup_sockets",
        &format!(
            "tcpwatch_sockets by cgroup (systemd unit, container), mini-sockets under that of the socket or listener that \
             they come from. A limited number of cgroups (--cgroup-series) have series of their own while they exist, the \
             rest is other; unknown are cgroups that have gone, cannot be seen from here or are too new, and mini-sockets \
             from before the start. {covers}"
        ),
    );
    let mut rows: BTreeMap<&Arc<str>, PlaceRow> =
        labels.all().map(|label| (label, [0; PLACES])).collect();
    for (cgroup, row) in sockets {
        let sums = rows.entry(labels.label(*cgroup)).or_default();
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

/// A count as a value: a state is never less than empty, although more can have left it for a moment, while the cells of
/// several CPUs are read one after the other.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn gauge_value(count: i64) -> f64 {
    if count < 0 { 0.0 } else { count as f64 }
}

/// What the last walk was like.
fn walk(last: &BookWalk) -> [ScrapeFamily; 3] {
    let at = "When a program last went through all sockets of the network namespaces that can be entered, to count those \
              that were not: at the start, and, where the privilege for it is kept (--sandbox off), every 5 minutes and \
              30 s after the kernel skipped a hook. Unix time.";
    let reach = "Network namespaces that it went through, and those that could not be entered.";
    let count = |count: usize| number(u64::try_from(count).unwrap_or(u64::MAX));
    [
        ScrapeFamily::gauge("tcpwatch_sockets_walk_timestamp_seconds", at).with(&[], unix(last.at)),
        ScrapeFamily::gauge("tcpwatch_sockets_walk_duration_seconds", "How long that took.")
            .with(&[], last.took.as_secs_f64()),
        ScrapeFamily::gauge("tcpwatch_sockets_walk_network_namespaces", reach)
            .with(&[("outcome", "walked")], count(last.walked))
            .with(&[("outcome", "skipped")], count(last.skipped)),
    ]
}
