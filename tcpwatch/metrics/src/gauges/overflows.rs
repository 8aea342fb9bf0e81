//! Counts label values without a series of their own.

use std::sync::atomic::Ordering;

use super::slots::Overflow;
use crate::{collector::Collector, family::ScrapeFamily};

/// The counts, by label.
#[derive(Debug)]
pub(crate) struct Overflows(pub(crate) Vec<(&'static str, Overflow)>);

impl Collector for Overflows {
    fn name(&self) -> &'static str {
        "labels"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> anyhow::Result<()> {
        let mut family = ScrapeFamily::counter(
            "tcpwatch_label_overflows_total",
            "Label values that got no series of their own because there were too many.",
        );
        for (label, count) in &self.0 {
            #[expect(
                clippy::cast_precision_loss,
                clippy::as_conversions,
                reason = "a counter of Prometheus is a floating point number"
            )]
            let count = count.load(Ordering::Relaxed) as f64;
            family.add(&[("label", label)], count);
        }
        families.push(family);
        Ok(())
    }
}
