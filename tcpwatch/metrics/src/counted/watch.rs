//! The thread that compares the counts with lists of sockets from time to time.

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
use tcpwatch_kernel::{probe::Losses, source::snapshot::Scope};

use super::books::{Shared, compare};

/// A comparison at the latest after this long,
const AT_LATEST: Duration = Duration::from_mins(5);
/// after losses this soon, and after the start, when namespaces on their way out, which are in no list, have still had
/// sockets that were counted as they left,
const SOON: Duration = Duration::from_secs(30);
/// and never sooner than this many times what the last one took.
const SHARE: u32 = 20;

/// Runs until the returned value is dropped, and for one comparison more at most.
///
/// # Errors
/// If no thread can be started.
pub(super) fn start(shared: Shared, scope: Scope, losses: Arc<Losses>) -> Result<Sender<()>> {
    let (end, ended) = mpsc::channel();
    let work = move || {
        let mut known = None;
        let (mut at, mut pause) = (Instant::now(), SOON);
        while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let now = Some(skipped(&losses));
            if now == known && at.elapsed() < AT_LATEST {
                continue;
            }
            known = now;
            at = Instant::now();
            if let Err(error) = compare(&shared.0, scope, &shared.1) {
                tracing::warn!("the counts of sockets are not compared: {error:#}");
            }
            pause = SOON.max(at.elapsed() * SHARE);
        }
    };
    thread::Builder::new()
        .name("compare".to_owned())
        .spawn(work)
        .context("are there as many threads as `ulimit -u` and pids.max of the cgroup allow?")
        .context("cannot start the thread that compares the counts of sockets")?;
    Ok(end)
}

/// Runs of hooks that the kernel has skipped; 0 if that cannot be read, which `tcpwatch_collector_success` shows.
fn skipped(losses: &Losses) -> u64 {
    let totals = losses.read().unwrap_or_default();
    totals.lost.get(&Cause::Recursion).copied().unwrap_or_default()
}
