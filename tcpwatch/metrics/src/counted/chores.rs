//! What is done beside the scrapes.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use tcpwatch_common::{
    KeptSocket,
    books::{MiniMark, place},
};
use tcpwatch_core::loss::Cause;
use tcpwatch_kernel::{
    clock,
    probe::{
        Books, Losses,
        books::{KeptSockets, Marks, Walker},
    },
    source::snapshot::SnapshotScope,
};

use super::{
    CountedState,
    aged::Aged,
    drift,
    ledger::BookWalk,
    rows::{self, PlaceRows},
};
use crate::background::{Chore, SHARE};

/// A walk at the latest after this long,
const AT_LATEST: Duration = Duration::from_mins(5);
/// and after losses this soon, but never sooner than [`SHARE`] times what the last walk took.
const SOON: Duration = Duration::from_secs(30);
/// Full sockets are listed after this long,
const LISTED_EVERY: Duration = Duration::from_secs(10);
/// or after this many times what it took, if that is more,
const LIST_SHARE: u32 = 50;
/// and once more this soon, where they are not what is counted.
const AGAIN: Duration = Duration::from_secs(1);
/// Cgroups that have gone are forgotten after this long.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(20);

/// No mini-socket stays in its state for longer than this without an event of its timer: TIME_WAIT and an orphan's
/// FIN_WAIT_2 last 60 s at most (`TCP_TIMEWAIT_LEN`), the last pause of a half-open connection's timer is 120 s
/// (`TCP_RTO_MAX`); a timer wheel adds an eighth.
const MINI_AT_MOST: Duration = Duration::from_mins(3);

/// What the chores are about.
pub(super) struct SocketChores {
    shared: Arc<Mutex<CountedState>>,
}

impl SocketChores {
    /// All of them.
    pub(super) fn of(
        shared: &Arc<Mutex<CountedState>>,
        books: Books,
        scope: SnapshotScope,
        losses: Arc<Losses>,
    ) -> Vec<Chore> {
        let Books { marks, kept, walker } = books;
        let of = || Self { shared: Arc::clone(shared) };
        let mut walks = Walks { of: of(), walker: Some(walker), marks, scope, losses, last: None };
        let mut chores: Vec<Chore> = vec![Box::new(move || walks.walk_if_due())];
        match kept {
            Ok(kept) => {
                let mut lists = Lists { of: of(), kept, suspect: None };
                chores.push(Box::new(move || lists.list()));
            }
            Err(error) => {
                tracing::warn!(
                    "how long sockets wait is not known, and no drift is found: {error}"
                );
            }
        }
        let of = of();
        chores.push(Box::new(move || {
            report(of.forget_gone(), "there may be no room for further cgroups");
            FORGOTTEN_EVERY
        }));
        chores
    }

    fn forget_gone(&self) -> Result<()> {
        let mut shared = CountedState::lock(&self.shared);
        let CountedState { tally, ledger } = &mut *shared;
        let is_empty = |cgroup: u32, cell: &_| ledger.is_empty(cgroup, cell);
        for cgroup in tally.forget_gone(is_empty, Instant::now())? {
            ledger.forget(cgroup);
        }
        Ok(())
    }
}

/// Goes through the sockets of all network namespaces, as long as they can be entered.
struct Walks {
    of: SocketChores,
    /// None when it has failed: the privileges for it have been given up.
    walker: Option<Walker>,
    marks: Marks,
    scope: SnapshotScope,
    losses: Arc<Losses>,
    /// When the last one began, and how many hooks had been skipped by then.
    last: Option<(Instant, u64)>,
}

impl Walks {
    /// Returns when to ask again.
    fn walk_if_due(&mut self) -> Duration {
        let skipped = self.skipped();
        let is_due = |(at, known): (Instant, u64)| skipped != known || at.elapsed() >= AT_LATEST;
        if !self.last.is_none_or(is_due) {
            return SOON;
        }
        let now = Instant::now();
        let is_first = self.last.replace((now, skipped)).is_none();
        if let Err(error) = self.walk() {
            self.walker = None;
            if is_first {
                tracing::warn!("sockets from before the start are not all counted: {error:#}");
            }
        }
        report(self.sweep(), "the number of sockets may be wrong");
        SOON.max(now.elapsed() * SHARE)
    }

    fn walk(&mut self) -> Result<()> {
        let Some(walker) = &self.walker else { return Ok(()) };
        let (at, began) = (SystemTime::now(), Instant::now());
        let reach = walker.walk(self.scope);
        let walk = reach.as_ref().ok().map(|reach| BookWalk {
            at,
            took: began.elapsed(),
            walked: reach.namespaces.len(),
            skipped: reach.skipped.len(),
        });
        let mut shared = CountedState::lock(&self.of.shared);
        let cells = shared.tally.cells()?;
        shared.ledger.walked(walk, &cells);
        drop(shared);
        reach.map(drop).context("cannot go through the sockets")
    }

    /// Takes away mini-sockets whose ends were missed.
    fn sweep(&mut self) -> Result<()> {
        let limit = u64::try_from(MINI_AT_MOST.as_nanos()).unwrap_or(u64::MAX);
        let stale: Vec<MiniMark> =
            self.marks.sweep(limit).context("cannot read the marks of mini-sockets")?;
        let mut surplus = PlaceRows::new();
        for mark in stale {
            rows::add(&mut surplus, mark.cgroup, place(mark.state()), 1);
        }
        CountedState::lock(&self.of.shared).ledger.correct(&surplus);
        Ok(())
    }

    /// Runs of hooks that the kernel has skipped; 0 if that cannot be read, which `tcpwatch_collector_success` shows.
    fn skipped(&self) -> u64 {
        let totals = self.losses.read().unwrap_or_default();
        totals.lost.get(&Cause::Recursion).copied().unwrap_or_default()
    }
}

/// Lists full sockets, and compares them with what is counted if the list has all of them.
struct Lists {
    of: SocketChores,
    kept: KeptSockets,
    /// What the list before did not agree on.
    suspect: Option<PlaceRows>,
}

impl Lists {
    /// Returns when to list them again.
    fn list(&mut self) -> Duration {
        let began = Instant::now();
        let outcome = self.compare(began);
        report(outcome, "how long sockets wait is not known, and no drift is found");
        if self.suspect.is_some() { AGAIN } else { LISTED_EVERY.max(began.elapsed() * LIST_SHARE) }
    }

    fn compare(&mut self, began: Instant) -> Result<()> {
        let before = CountedState::lock(&self.of.shared).tally.cells()?;
        let mut aged = Aged::new(clock::now().0, self.kept.held_only.is_some());
        let (mut listed, mut met) = (PlaceRows::new(), HashSet::new());
        let each = |socket: KeptSocket| {
            if met.insert(socket.cookie) {
                aged.add(&socket);
                rows::add(&mut listed, socket.cgroup, place(socket.state), 1);
            }
        };
        self.kept.list(each).context("cannot list the sockets that are counted")?;
        aged.is_complete_after(began.elapsed());
        let mut shared = CountedState::lock(&self.of.shared);
        if self.kept.held_only.is_some() {
            shared.ledger.listed(aged);
            return Ok(());
        }
        let after = shared.tally.cells()?;
        let surplus = drift::surplus((&before, &after), &listed, shared.ledger.corrections());
        let known = self.suspect.take();
        if let Some(first) = &known {
            shared.ledger.correct(&drift::agreed(first, &surplus));
        } else if !surplus.is_empty() {
            self.suspect = Some(surplus);
        }
        shared.ledger.listed(aged);
        Ok(())
    }
}

fn report(outcome: Result<()>, what: &str) {
    if let Err(error) = outcome {
        tracing::warn!("{what}: {error:#}");
    }
}
