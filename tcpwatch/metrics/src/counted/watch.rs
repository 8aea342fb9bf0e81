//! When to go through all sockets, and what to make of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tcpwatch_core::loss::Cause;
use tcpwatch_kernel::{probe::Losses, source::snapshot::SnapshotScope};

use super::ledger::{Ledger, Rows};
use crate::background::{Chore, SHARE};

/// A walk at the latest after this long,
const AT_LATEST: Duration = Duration::from_mins(5);
/// and after losses this soon, but never sooner than [`SHARE`] times what the last walk took.
const SOON: Duration = Duration::from_secs(30);
/// Goes through all sockets when it is time.
pub(super) fn chore(ledger: Arc<Ledger>, scope: SnapshotScope, losses: Arc<Losses>) -> Chore {
    let mut walks = Walks { ledger, scope, losses, last: None, before: None, gave_up: false };
    Box::new(move || walks.walk_if_due())
}

/// What one walk has to know of those before.
struct Walks {
    ledger: Arc<Ledger>,
    scope: SnapshotScope,
    losses: Arc<Losses>,
    /// When the last one began, and how many hooks had been skipped by then.
    last: Option<(Instant, u64)>,
    /// What one that is long ago did not meet. What a later one does not meet either is not in a namespace on its way
    /// out: that exists for some seconds and is in no list (`cleanup_net` in `net/core/net_namespace.c`), or for minutes
    /// if an orphan holds it.
    before: Option<(Instant, Rows)>,
    /// A walk failed: the privileges for it have been given up.
    gave_up: bool,
}

impl Walks {
    /// Returns when to ask again.
    fn walk_if_due(&mut self) -> Duration {
        let skipped = self.skipped();
        let is_due = |(at, known): (Instant, u64)| skipped != known || at.elapsed() >= AT_LATEST;
        if self.gave_up || !self.last.is_none_or(is_due) {
            return SOON;
        }
        let now = Instant::now();
        self.last = Some((now, skipped));
        self.walk(now);
        report(self.ledger.sweep());
        SOON.max(now.elapsed() * SHARE)
    }

    fn walk(&mut self, now: Instant) {
        let unmet = match self.ledger.walk(self.scope) {
            Ok(unmet) => unmet,
            Err(error) => {
                self.gave_up = true;
                return report(Err(error));
            }
        };
        self.ledger.restore(&unmet);
        match &self.before {
            Some((at, _)) if at.elapsed() < AT_LATEST => return,
            Some((_, before)) => self.ledger.correct((before, &unmet)),
            None => {}
        }
        self.before = Some((now, unmet));
    }

    /// Runs of hooks that the kernel has skipped; 0 if that cannot be read, which `tcpwatch_collector_success` shows.
    fn skipped(&self) -> u64 {
        let totals = self.losses.read().unwrap_or_default();
        totals.lost.get(&Cause::Recursion).copied().unwrap_or_default()
    }
}

fn report(outcome: Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!("the number of sockets may be wrong: {error:#}");
    }
}
