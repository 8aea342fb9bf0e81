//! What is believed: the kernel side's books, and what walks have found to be wrong in them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use tcpwatch_common::books::{Mark, PLACES, place};
use tcpwatch_kernel::{
    probe::{
        Books,
        books::{Balance, Balances, BookCells, Marks, Walker},
    },
    source::snapshot::{SnapshotScope, Visited},
};

use super::states::is_mini;

/// Sockets by cgroup and place.
pub(super) type Rows = BTreeMap<u32, [i64; PLACES]>;

/// The cost and the reach of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookWalk {
    pub(super) at: SystemTime,
    pub(super) took: Duration,
    pub(super) walked: usize,
    pub(super) skipped: usize,
}

/// What is believed at a moment.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) sockets: Rows,
    pub(super) missing: u64,
    pub(super) surplus: u64,
    pub(super) unmet: u64,
    pub(super) last: Option<BookWalk>,
}

/// What walks have found.
#[derive(Debug, Default)]
struct WalkFindings {
    /// Is to be added.
    corrections: Rows,
    /// Sockets that the first walk found: from before the start.
    first: Option<u64>,
    missing: u64,
    surplus: u64,
    unmet: u64,
    last: Option<BookWalk>,
}

/// The books and their corrections.
pub(super) struct Ledger {
    cells: BookCells,
    marks: Mutex<Marks>,
    walker: Walker,
    found: Mutex<WalkFindings>,
    marks_room: u32,
}

/// No mini-socket stays in its state for longer than this without an event of its timer: TIME_WAIT and an orphan's
/// FIN_WAIT_2 last 60 s at most (`TCP_TIMEWAIT_LEN`), the last pause of a half-open connection's timer is 120 s
/// (`TCP_RTO_MAX`); a timer wheel adds an eighth.
const MINI_AT_MOST: Duration = Duration::from_secs(180);

impl Ledger {
    pub(super) fn new(books: Books) -> Self {
        let Books { cells, marks, walker } = books;
        let marks_room = marks.room;
        Self { cells, marks: Mutex::new(marks), walker, found: Mutex::default(), marks_room }
    }

    pub(super) const fn marks_room(&self) -> u32 {
        self.marks_room
    }

    /// What is believed now; `None` before the first walk.
    pub(super) fn stand(&self) -> Result<Option<Stand>> {
        let balances = self.read()?;
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = found.first else { return Ok(None) };
        let sockets = rows(&balances, &found.corrections);
        let missing = (found.missing + met(&balances)).saturating_sub(first);
        let WalkFindings { surplus, unmet, last, .. } = *found;
        Ok(Some(Stand { sockets, missing, surplus, unmet, last }))
    }

    fn read(&self) -> Result<Balances> {
        self.cells.read().context("cannot read the kernel side's books about sockets")
    }

    /// Goes through all sockets in the scope. Returns those that are counted and were not met, by cgroup and place.
    pub(super) fn walk(&self, scope: SnapshotScope) -> Result<Rows> {
        let (at, began) = (SystemTime::now(), Instant::now());
        let before = self.read()?;
        let reach: Visited =
            self.walker.walk(scope).context("sockets are not compared with what is counted")?;
        let after = self.read()?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.last = Some(BookWalk {
            at,
            took: began.elapsed(),
            walked: reach.namespaces.len(),
            skipped: reach.skipped.len(),
        });
        if found.first.is_none() {
            found.first = Some(met(&after));
        }
        let mut unmet = Rows::new();
        for (cgroup, after) in &after {
            let before = before.get(cgroup).copied().unwrap_or_default();
            let corrected = found.corrections.get(cgroup).copied().unwrap_or_default();
            let row = unmet.entry(*cgroup).or_default();
            for (place, (number, corrected)) in row.iter_mut().zip(corrected).enumerate() {
                *number = not_met(place, (&before, after), corrected);
            }
        }
        found.unmet = surplus(&unmet);
        Ok(unmet)
    }

    /// Takes away what neither of two walks has met.
    pub(super) fn correct(&self, (first, second): (&Rows, &Rows)) {
        let mut unmet = first.clone();
        for (cgroup, row) in &mut unmet {
            let again = second.get(cgroup).copied().unwrap_or_default();
            row.iter_mut().zip(again).for_each(|(number, again)| *number = (*number).min(again));
        }
        self.apply(&unmet, |number| number.max(0));
    }

    /// Where more were met than are counted, sockets were taken away that do exist: they are back.
    pub(super) fn restore(&self, unmet: &Rows) {
        self.apply(unmet, |number| number.min(0));
    }

    fn apply(&self, rows: &Rows, part: impl Fn(i64) -> i64) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (cgroup, row) in rows {
            for (place, number) in row.iter().enumerate() {
                found.take_away(*cgroup, place, part(*number));
            }
        }
    }

    /// Takes away mini-sockets whose ends were missed.
    pub(super) fn sweep(&self) -> Result<()> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = u64::try_from(MINI_AT_MOST.as_nanos()).unwrap_or(u64::MAX);
        let stale: Vec<Mark> =
            marks.sweep(limit).context("cannot read the marks of mini-sockets")?;
        drop(marks);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in stale {
            found.take_away(mark.cgroup, place(mark.state()), 1);
        }
        Ok(())
    }
}

impl WalkFindings {
    fn take_away(&mut self, cgroup: u32, place: usize, number: i64) {
        if number == 0 {
            return;
        }
        if let Some(correction) = self.corrections.entry(cgroup).or_default().get_mut(place) {
            *correction -= number;
        }
        self.surplus += number.max(0).unsigned_abs();
        self.missing += number.min(0).unsigned_abs();
    }
}

/// Sockets that are counted and were not met.
fn surplus(unmet: &Rows) -> u64 {
    unmet.values().flatten().map(|number| number.max(&0).unsigned_abs()).sum()
}

/// Sockets that walks have counted.
fn met(balances: &Balances) -> u64 {
    let found = balances.values().flat_map(|balance| balance.found.iter().skip(1));
    found.map(|number| u64::from(*number)).sum()
}

fn rows(balances: &Balances, corrections: &Rows) -> Rows {
    let mut rows = corrections.clone();
    for (cgroup, balance) in balances {
        let row = rows.entry(*cgroup).or_default();
        for (place, number) in row.iter_mut().enumerate().skip(1) {
            *number += balance.sockets(place);
        }
    }
    rows
}

/// Sockets in a place of a cgroup that were there during a whole walk, and were not met, at least. Less than none: more
/// than are counted were met, at least. Marks of mini-sockets are looked through by themselves.
fn not_met(place: usize, (before, after): (&Balance, &Balance), corrected: i64) -> i64 {
    if place == 0 || is_mini(place) {
        return 0;
    }
    let passed = |of: fn(&Balance) -> &[u32; PLACES]| {
        let number = |balance| of(balance).get(place).copied().unwrap_or_default();
        i64::from(number(after).wrapping_sub(number(before)))
    };
    let counted = before.sockets(place) + corrected;
    let walked = passed(|balance| &balance.walked);
    let least = counted - passed(|balance| &balance.left);
    let most = counted + passed(|balance| &balance.entered);
    if walked < least { least - walked } else { (most - walked).min(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(entered: u32, left: u32, walked: u32) -> Balance {
        let at = |number| {
            let mut row = [0; PLACES];
            row[1] = number;
            row
        };
        Balance { entered: at(entered), left: at(left), found: at(0), walked: at(walked) }
    }

    #[test]
    fn sockets_that_come_and_go_during_a_walk_are_no_drift() {
        // 10 before; two leave and three enter: from 8 to 13 may be met.
        for walked in 8..=13 {
            assert_eq!(not_met(1, (&balance(10, 0, 0), &balance(13, 2, walked)), 0), 0, "{walked}");
        }
    }

    #[test]
    fn what_is_counted_and_not_met_is_drift_once() {
        let quiet = (balance(10, 0, 0), balance(10, 0, 7));
        assert_eq!(not_met(1, (&quiet.0, &quiet.1), 0), 3);
        assert_eq!(not_met(1, (&quiet.0, &quiet.1), -3), 0, "it was taken away");
        let again = (balance(10, 0, 7), balance(10, 0, 16));
        assert_eq!(not_met(1, (&again.0, &again.1), -3), -2, "two are back");
    }

    #[test]
    fn numbers_may_overflow() {
        let before = balance(u32::MAX, u32::MAX - 5, u32::MAX);
        let after = balance(2, u32::MAX - 5, 7);
        assert_eq!(not_met(1, (&before, &after), 0), 0);
        assert_eq!(after.sockets(1), 8);
    }
}
