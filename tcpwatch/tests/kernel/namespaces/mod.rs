//! What is read of each network namespace agrees with the kernel, `ss` and the application.

mod access;
mod destinations;
mod queues;

use std::sync::{Arc, Mutex};

use prometheus::TextEncoder;
use tcpwatch_kernel::source::{cgroups::CgroupNames, snapshot::SnapshotScope};
use tcpwatch_metrics::{
    collector::Collector as _,
    family::ScrapeFamily,
    namespaces::{NamespaceGauges, NamespaceOverflows},
};

use crate::harness::{exporter::Samples, netns::Netns};

/// The collector, without a page around it.
struct Reader(NamespaceGauges);

impl Reader {
    /// Of one namespace.
    fn of(netns: &Netns) -> Self {
        Self::new(SnapshotScope::Only(tcpwatch_core::event::Netns(netns.inode)))
    }

    fn new(scope: SnapshotScope) -> Self {
        let names = Arc::new(Mutex::new(CgroupNames::new()));
        Self(NamespaceGauges::new(scope, &names, &NamespaceOverflows::default()))
    }

    /// What it says now; it must not fail.
    fn samples(&mut self) -> Samples {
        let mut families: Vec<ScrapeFamily> = Vec::new();
        self.0.collect(&mut families).unwrap();
        let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
        Samples::parse(&TextEncoder::new().encode_to_string(&families).unwrap())
    }
}

/// The series of this metric, which have this label.
fn series<'a>(samples: &'a Samples, metric: &str, label: &str) -> Vec<(&'a str, f64)> {
    let begin = format!("tcpwatch_{metric}{{");
    let found = samples.0.iter().filter(|(series, _)| series.starts_with(&begin));
    let found = found.filter(|(series, _)| series.contains(label));
    found.map(|(series, value)| (series.as_str(), *value)).collect()
}
