//! tcpwatch's own health: its version, which hooks are attached, what they lost.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tcpwatch_core::loss::Cause;
use tcpwatch_kernel::probe::{Losses, Probes, hooks::Hook};

use super::kernel::number;
use crate::{collector::Collector, family::Family};

/// The attached kernel side.
pub struct Attached {
    losses: Arc<Losses>,
    hooks: Vec<(Hook, bool)>,
}

impl Attached {
    /// Of this kernel side.
    #[must_use]
    pub fn new(probes: &Probes) -> Self {
        let attached = probes.attached.iter().map(|hook| (*hook, true));
        let off = probes.off.iter().map(|(hook, _)| (*hook, false));
        Self { losses: Arc::clone(&probes.losses), hooks: attached.chain(off).collect() }
    }
}

impl Collector for Attached {
    fn name(&self) -> &'static str {
        "probes"
    }

    fn collect(&mut self, families: &mut Vec<Family>) -> Result<()> {
        families.push(
            Family::gauge("tcpwatch_build_info", "1, with the version of tcpwatch.")
                .with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        );
        let mut attached = Family::gauge(
            "tcpwatch_probe_attached",
            "1 if the hook on this tracepoint is attached, 0 if it is wanted and refused; `tcpwatch \
             check` says why.",
        );
        for (hook, is_attached) in &self.hooks {
            attached.add(&[("probe", hook.tracepoint)], f64::from(u8::from(*is_attached)));
        }
        families.push(attached);

        let totals = self.losses.read().context("cannot read what the kernel side lost")?;
        families.push(
            Family::counter(
                "tcpwatch_events_total",
                "Records for the live log that the kernel side made; none without a live log.",
            )
            .with(&[], number(totals.attempted)),
        );
        let mut lost = Family::counter(
            "tcpwatch_events_lost_total",
            "What did not reach its goal. recursion: the kernel skipped a hook inside an interrupt, \
             which is missing in the metrics, too; all others are missing in the live log only.",
        );
        for cause in Cause::ALL.into_iter().filter(|cause| cause.is_of_kernel_side()) {
            let count = totals.lost.get(&cause).copied().unwrap_or_default();
            lost.add(&[("cause", cause.word())], number(count));
        }
        families.push(lost);
        Ok(())
    }
}
