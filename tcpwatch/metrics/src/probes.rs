//! tcpwatch's own health: its version, the attached hooks, and their losses.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tcpwatch_core::loss::Cause;
use tcpwatch_kernel::probe::{Losses, Probes, hooks::HookSpec, trial::Tried};

use super::kernel::number;
use crate::{collector::Collector, family::ScrapeFamily};

/// The attached kernel side.
pub struct ProbeHealth {
    losses: Arc<Losses>,
    hooks: Vec<(HookSpec, bool)>,
    /// Features that were tried or have no hook.
    features: Vec<(&'static str, bool)>,
}

impl ProbeHealth {
    /// The health of this kernel side.
    #[must_use]
    pub fn new(probes: &Probes) -> Self {
        let attached = probes.attached.iter().map(|hook| (*hook, true));
        let off = probes.off.iter().map(|(hook, _)| (*hook, false));
        let tried = probes.trial.features.iter().filter_map(|(feature, tried)| match tried {
            Tried::Works => Some((feature.word, true)),
            Tried::Invisible | Tried::Off => Some((feature.word, false)),
            Tried::Not(_) => None,
        });
        Self {
            losses: Arc::clone(&probes.losses),
            hooks: attached.chain(off).collect(),
            features: tried.collect(),
        }
    }

    fn works(&self) -> ScrapeFamily {
        let mut works = ScrapeFamily::gauge(
            "tcpwatch_feature_works",
            "1 if this was seen when tcpwatch made it happen at its start, 0 if it was not seen or its \
             hook is not attached; no series where it could not be tried. What is 0 is missing in all \
             other metrics, too.",
        );
        for (word, is_seen) in &self.features {
            works.add(&[("feature", word)], f64::from(u8::from(*is_seen)));
        }
        works
    }
}

impl Collector for ProbeHealth {
    fn name(&self) -> &'static str {
        "probes"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        families.push(
            ScrapeFamily::gauge("tcpwatch_build_info", "1, with the version of tcpwatch.")
                .with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        );
        let mut attached = ScrapeFamily::gauge(
            "tcpwatch_probe_attached",
            "1 if the hook on this tracepoint is attached, 0 if the kernel refused it; \
             `tcpwatch check` shows why.",
        );
        for (hook, is_attached) in &self.hooks {
            attached.add(&[("probe", hook.tracepoint)], f64::from(u8::from(*is_attached)));
        }
        families.push(attached);
        families.push(self.works());

        let totals =
            self.losses.read().context("cannot read the kernel side's counts of losses")?;
        families.push(
            ScrapeFamily::counter(
                "tcpwatch_events_total",
                "Records for the live log that the kernel side made; none without a live log.",
            )
            .with(&[], number(totals.attempted)),
        );
        let mut lost = ScrapeFamily::counter(
            "tcpwatch_events_lost_total",
            "Losses by cause. recursion: the kernel skipped a hook inside an interrupt, \
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
