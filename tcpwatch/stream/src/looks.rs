//! Looks at the kernel beside the run, in a thread of their own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tcpwatch_core::facts::HostFacts;
use tcpwatch_kernel::{
    beside::beside,
    source::snapshot::{SnapshotError, SnapshotScope, host_facts},
};
use tokio::{sync::oneshot, time::sleep_until};

/// How often to look.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of one look to the next at least.
    pub every: Duration,
    /// Looking takes this fraction of the time at most: 5 is a fifth.
    pub share: u32,
    /// But a pause is no longer than this.
    pub longest: Duration,
}

/// How long it took, and what it found.
type TimedLook = (Duration, Result<HostFacts, SnapshotError>);

/// One look after the other. They go into a run by [`Live::note_facts`](crate::pipeline::Live::note_facts).
pub struct Looks {
    scope: SnapshotScope,
    pace: Pace,
    under_way: Option<oneshot::Receiver<TimedLook>>,
    next_at: tokio::time::Instant,
}

impl Looks {
    /// It is time for the first at once.
    #[must_use]
    pub fn new(scope: SnapshotScope, pace: Pace) -> Self {
        Self { scope, pace, under_way: None, next_at: tokio::time::Instant::now() }
    }

    /// The next one, when it is time. Nothing is lost if this is dropped before it returns.
    ///
    /// # Errors
    /// If the own network namespace cannot be looked at, or no thread can be started.
    pub async fn next(&mut self) -> Result<HostFacts> {
        if self.under_way.is_none() {
            sleep_until(self.next_at).await;
            self.under_way = Some(look(self.scope)?);
        }
        self.finished().await
    }

    /// One that begins now.
    ///
    /// # Errors
    /// As in [`Self::next`].
    pub async fn last(&mut self) -> Result<HostFacts> {
        if self.under_way.is_some() {
            drop(self.finished().await?);
        }
        self.under_way = Some(look(self.scope)?);
        self.finished().await
    }

    async fn finished(&mut self) -> Result<HostFacts> {
        let Some(under_way) = self.under_way.as_mut() else {
            anyhow::bail!("no look is under way")
        };
        let finished = under_way.await;
        self.under_way = None;
        let (took, facts) = finished.context("a look at the kernel panicked")?;
        self.next_at = tokio::time::Instant::now()
            + self.pace.every.max((took * self.pace.share).min(self.pace.longest));
        Ok(facts?)
    }
}

fn look(scope: SnapshotScope) -> Result<oneshot::Receiver<TimedLook>> {
    let looking = move || {
        let began = Instant::now();
        let facts = host_facts(scope);
        (began.elapsed(), facts)
    };
    beside("look", looking).context(
        "cannot start a thread to look at the kernel; are there as many as `ulimit -u` and pids.max of the cgroup allow?",
    )
}
