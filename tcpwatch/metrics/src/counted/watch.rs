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
use tcpwatch_kernel::{probe::Losses, source::snapshot::Scope};

use super::ledger::Ledger;

/// A walk at the latest after this long,
const AT_LATEST: Duration = Duration::from_mins(5);
/// after losses this soon; and a difference is believed if it is still there after this long, which a namespace on its way
/// out is not: its sockets exist, but no walk comes to it (`cleanup_net` in `net/core/net_namespace.c`).
const SOON: Duration = Duration::from_secs(30);
/// Never sooner than this many times what the last walk took.
const SHARE: u32 = 20;
/// For this long the first page waits for the first walk, so that a small host has everything on it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs until the returned value is dropped, and for one walk more at most. Returns after the first walk, or a second.
///
/// # Errors
/// If no thread can be started.
pub(super) fn start(ledger: Arc<Ledger>, scope: Scope, losses: Arc<Losses>) -> Result<Sender<()>> {
    let (end, ended) = mpsc::channel();
    let (first, is_done) = mpsc::channel();
    let work = move || {
        let is_ended =
            |pause: Duration| ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
        let mut at = Instant::now();
        report(ledger.walk(scope).map(drop));
        let _nobody_waits = first.send(());
        let mut known = skipped(&losses);
        let mut pause = SOON.max(at.elapsed() * SHARE);
        while !is_ended(pause) {
            let now = skipped(&losses);
            if now == known && at.elapsed() < AT_LATEST {
                continue;
            }
            known = now;
            at = Instant::now();
            let walked = ledger.walk(scope);
            pause = SOON.max(at.elapsed() * SHARE);
            let has_differences = |rows: &super::ledger::Rows| rows.values().flatten().any(|it| *it != 0);
            match walked {
                Ok(unmet) if has_differences(&unmet) => {
                    if is_ended(pause) {
                        return;
                    }
                    report(ledger.walk(scope).map(|again| ledger.correct(&[unmet, again])));
                }
                other => report(other.map(drop)),
            }
            report(ledger.sweep());
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

fn report(outcome: Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!("the number of sockets may be wrong: {error:#}");
    }
}

/// Runs of hooks that the kernel has skipped; 0 if that cannot be read, which `tcpwatch_collector_success` shows.
fn skipped(losses: &Losses) -> u64 {
    let totals = losses.read().unwrap_or_default();
    totals.lost.get(&Cause::Recursion).copied().unwrap_or_default()
}
