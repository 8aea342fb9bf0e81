//! What is wrong now: the run is judged beside the table, and the kernel looked at.

use std::future::pending;

use tcpwatch_core::facts::HostFacts;
use tcpwatch_kernel::clock;
use tcpwatch_stream::{batch::Batch, looks::Looks};
use tokio::time::{Duration, Instant};

use crate::{
    findings::{FindingJudge, narrow},
    screen::Screen,
};

/// From one verdict to the next.
const EVERY: Duration = Duration::from_secs(1);
/// Judging takes this fraction of the time at most.
const SHARE: u32 = 50;

/// Judges a live run.
pub(crate) struct Judging {
    judge: FindingJudge,
    looks: Option<Looks>,
    next_at: Instant,
}

impl Judging {
    pub(crate) fn new(looks: Looks) -> Self {
        Self { judge: FindingJudge::default(), looks: Some(looks), next_at: Instant::now() }
    }

    /// The next look at the kernel. Nothing is lost if this is dropped before it returns.
    pub(crate) async fn look(&mut self) -> HostFacts {
        let Some(looks) = &mut self.looks else { return pending().await };
        match looks.next().await {
            Ok(facts) => facts,
            Err(error) => {
                tracing::warn!("accept queues and counters are not seen: {error:#}");
                self.looks = None;
                pending().await
            }
        }
    }

    /// Takes in what a run yields.
    pub(crate) fn take(&mut self, batch: &Batch<'_>, screen: &mut Screen) {
        for item in batch.items {
            self.judge.item(item);
        }
        for facts in batch.facts {
            screen.facts(facts);
            let Some(passes) = &screen.origin.passes else {
                self.judge.facts(facts);
                continue;
            };
            let mut facts = facts.clone();
            let sockets = &screen.live().sockets;
            narrow(&mut facts, passes, |socket| sockets.of_cookie(socket).is_some());
            self.judge.facts(&facts);
        }
    }

    /// Judges, if it is time.
    pub(crate) fn go_on(&mut self, screen: &mut Screen) {
        let began = Instant::now();
        if began < self.next_at {
            return;
        }
        screen.judge(self.judge.findings(clock::now()));
        self.next_at = Instant::now() + EVERY.max(began.elapsed() * SHARE);
    }
}
