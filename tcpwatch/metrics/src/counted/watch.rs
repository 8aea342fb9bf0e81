//! The thread that goes through all sockets from time to time.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tcpwatch_core::loss::Cause;
use tcpwatch_kernel::{probe::Losses, source::snapshot::SnapshotScope};

use super::ledger::{Ledger, Rows};

/// A walk at the latest after this long,
const AT_LATEST: Duration = Duration::from_mins(5);
/// after losses this soon,
const SOON: Duration = Duration::from_secs(30);
/// and never sooner than this many times what the last walk took.
const SHARE: u32 = 20;
/// For this long the first page waits for the first walk, so that a small host has everything on it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs until the returned value is dropped, and for one walk more at most. Returns after the first walk, or a second.
///
/// # Errors
/// If no thread can be started.
pub(super) fn start(
    ledger: Arc<Ledger>,
    scope: SnapshotScope,
    losses: Arc<Losses>,
) -> Result<Sender<()>> {
    let (end, ended) = mpsc::channel();
    let (first, is_done) = mpsc::channel();
    let work = move || {
        let mut walks = Walks { ledger, scope, losses, at: Instant::now(), before: None };
        walks.walk();
        let _nobody_waits = first.send(());
        let mut known = walks.skipped();
        let mut pause = SOON.max(walks.at.elapsed() * SHARE);
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let now = walks.skipped();
            if now == known && walks.at.elapsed() < AT_LATEST {
                continue;
            }
            known = now;
            walks.walk();
            report(walks.ledger.sweep());
            pause = SOON.max(walks.at.elapsed() * SHARE);
        }
    };
    thread::Builder::new()
        .name("walk".to_owned())
        .spawn(work)
        .context("are there as many threads as `ulimit -u` and pids.max of the cgroup allow?")
        .context("cannot start the thread that goes through all sockets")?;
    // If it takes longer, the pages before it lack the sockets by state.
    let _in_time = is_done.recv_timeout(PATIENCE).is_ok();
    Ok(end)
}

/// What one walk has to know of those before.
struct Walks {
    ledger: Arc<Ledger>,
    scope: SnapshotScope,
    losses: Arc<Losses>,
    /// When the last one began.
    at: Instant,
    /// What one that is long ago did not meet. What a later one does not meet either is not in a namespace on its way
    /// out: that exists for some seconds and is in no list (`cleanup_net` in `net/core/net_namespace.c`), or for minutes
    /// if an orphan holds it.
    before: Option<(Instant, Rows)>,
}

impl Walks {
    fn walk(&mut self) {
        self.at = Instant::now();
        let unmet = match self.ledger.walk(self.scope) {
            Ok(unmet) => unmet,
            Err(error) => return report(Err(error)),
        };
        self.ledger.restore(&unmet);
        match &self.before {
            Some((at, _)) if at.elapsed() < AT_LATEST => return,
            Some((_, before)) => self.ledger.correct((before, &unmet)),
            None => {}
        }
        self.before = Some((self.at, unmet));
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
