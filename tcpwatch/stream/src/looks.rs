//! Looks at the kernel beside the run, in a thread of their own.

use std::time::{Duration, Instant};

use anyhow::Result;
use tcpwatch_core::facts::HostFacts;
use tcpwatch_kernel::source::snapshot::{SnapshotError, SnapshotScope, host_facts};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep_until,
};

/// How often to look.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of one look to the next at least.
    pub every: Duration,
    /// Looking takes this fraction of the time at most: 5 is a fifth.
    pub share: u32,
}

/// One look after the other. They go into a run by [`Live::note_facts`](crate::pipeline::Live::note_facts).
pub struct Looks {
    scope: SnapshotScope,
    pace: Pace,
    under_way: Option<JoinHandle<(Duration, Result<HostFacts, SnapshotError>)>>,
    next_at: tokio::time::Instant,
}

impl Looks {
    /// The first begins at once. In a runtime.
    #[must_use]
    pub fn begin(scope: SnapshotScope, pace: Pace) -> Self {
        Self { scope, pace, under_way: Some(look(scope)), next_at: tokio::time::Instant::now() }
    }

    /// The next one, when it is time. Nothing is lost if this is dropped before it returns.
    ///
    /// # Errors
    /// If the own network namespace cannot be looked at.
    pub async fn next(&mut self) -> Result<HostFacts> {
        if self.under_way.is_none() {
            sleep_until(self.next_at).await;
            self.under_way = Some(look(self.scope));
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
        self.under_way = Some(look(self.scope));
        self.finished().await
    }

    async fn finished(&mut self) -> Result<HostFacts> {
        let Some(under_way) = self.under_way.as_mut() else {
            anyhow::bail!("no look is under way")
        };
        let finished = under_way.await;
        self.under_way = None;
        let (took, facts) = finished?;
        self.next_at = tokio::time::Instant::now() + self.pace.every.max(took * self.pace.share);
        Ok(facts?)
    }
}

fn look(scope: SnapshotScope) -> JoinHandle<(Duration, Result<HostFacts, SnapshotError>)> {
    spawn_blocking(move || {
        let began = Instant::now();
        let facts = host_facts(scope);
        (began.elapsed(), facts)
    })
}
