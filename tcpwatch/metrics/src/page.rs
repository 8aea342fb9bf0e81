//! The page for Prometheus: runs all collectors, one after the other, and adds the duration of each. A collector that
//! fails or panics leaves what it had added; `tcpwatch_collector_success` shows the failure.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    time::Instant,
};

use anyhow::{Result, anyhow};
use prometheus::{TextEncoder, proto::MetricFamily};
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    own_process,
    probe::Probes,
    source::{cgroups::CgroupNames, snapshot::SnapshotScope},
};

use super::{
    background::{AskedBefore, Chores},
    counted::{CgroupSeries, CountedSockets},
    gauges::{overflows::Overflows, slots::Overflow},
    namespaces::{NamespaceGauges, NamespaceOverflows},
    probes::ProbeHealth,
    process::ProcessCollector,
};
use crate::{
    collector::Collector,
    family::ScrapeFamily,
    openmetrics,
    web::{Counters, PageFormat, Pages},
};

/// All collectors.
pub struct MetricsPage {
    collectors: Mutex<Vec<Box<dyn Collector>>>,
    /// What is done beside the scrapes, before it is begun.
    chores: Mutex<Option<Chores>>,
    /// When the counters of this process were 0, as Unix time.
    created: Option<f64>,
    /// Ends the thread in the background when it is dropped.
    background: Option<Sender<()>>,
}

impl MetricsPage {
    /// A page with these collectors.
    #[must_use]
    pub fn new(collectors: Vec<Box<dyn Collector>>) -> Self {
        Self {
            collectors: Mutex::new(collectors),
            chores: Mutex::new(None),
            created: None,
            background: None,
        }
    }

    /// A page with everything: the kernel side's counts (taken from `probes`) of `netns` or of all network namespaces,
    /// with series of their own for so many cgroups, the gauges, and tcpwatch's own metrics.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn of(
        probes: &mut Probes,
        (netns, cgroups): (Option<Netns>, usize),
        server: Counters,
    ) -> Result<Self> {
        let mut collectors: Vec<Box<dyn Collector>> = Vec::new();
        let names = Arc::new(Mutex::new(CgroupNames::new()));
        let (cgroup, overflows) = (Overflow::default(), NamespaceOverflows::default());
        let mut chores = Vec::new();
        if let (Some(counts), Some(books)) = (probes.counts.take(), probes.books.take()) {
            let (names, overflow) = (Arc::clone(&names), Arc::clone(&cgroup));
            let series = CgroupSeries { names, most: cgroups, overflow };
            let losses = Arc::clone(&probes.losses);
            let (counted, of_sockets) = CountedSockets::new(counts, books, netns, losses, series);
            collectors.push(Box::new(counted));
            chores.extend(of_sockets);
        }
        let scope = netns.map_or(SnapshotScope::Every, SnapshotScope::Only);
        let namespaces = NamespaceGauges::new(scope, &names, &overflows);
        let letting_go = namespaces.letting_go();
        let (asked, reading) = AskedBefore::new(Box::new(namespaces));
        collectors.push(Box::new(asked));
        chores.extend([reading, letting_go]);
        let NamespaceOverflows { netns, listener, destination } = overflows;
        collectors.push(Box::new(ProbeHealth::new(probes)));
        collectors.push(Box::new(ProcessCollector::new()?));
        collectors.push(Box::new(server));
        collectors.push(Box::new(Overflows(vec![
            ("cgroup", cgroup),
            ("netns", netns),
            ("local_port", listener),
            ("remote_address", destination),
        ])));
        let created = Some(own_process::started()?.as_secs_f64());
        Ok(Self { created, chores: Mutex::new(Some(Chores::new(chores))), ..Self::new(collectors) })
    }

    /// Starts the thread in which sockets are listed beside the scrapes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn begin(&mut self) -> Result<()> {
        let chores = self.chores.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.background = chores.map(Chores::start).transpose()?;
        Ok(())
    }
}

impl Pages for MetricsPage {
    fn metrics(&self, format: PageFormat) -> String {
        // A panic leaves the collectors usable: they keep no partial state.
        let mut collectors = self.collectors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut families = Vec::new();
        let mut took = ScrapeFamily::gauge(
            "tcpwatch_collector_duration_seconds",
            "Time that a collector took for this page.",
        );
        let mut success = ScrapeFamily::gauge(
            "tcpwatch_collector_success",
            "1 if the collector added all its metrics to this page.",
        );
        for collector in collectors.iter_mut() {
            let started = Instant::now();
            let result = run(collector.as_mut(), &mut families);
            let name = collector.name();
            took.add(&[("collector", name)], started.elapsed().as_secs_f64());
            success.add(&[("collector", name)], f64::from(u8::from(result.is_ok())));
            if let Err(error) = result {
                tracing::warn!("the metrics are not complete: {name}: {error:#}");
            }
        }
        drop(collectors);
        families.extend([took, success]);
        encode(families, format, self.created)
    }

    fn ready(&self) -> Result<(), String> {
        // The page exists only while the kernel side is attached.
        Ok(())
    }
}

fn run(collector: &mut dyn Collector, families: &mut Vec<ScrapeFamily>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| collector.collect(families)))
        .unwrap_or_else(|_| Err(anyhow!("it panicked")))
}

/// Encodes each family by itself, so that one that cannot be encoded does not affect the others.
fn encode(families: Vec<ScrapeFamily>, format: PageFormat, created: Option<f64>) -> String {
    let mut page = String::new();
    let mut written = HashSet::new();
    for family in families {
        let created = created.filter(|_| !family.is_older());
        let Some(family) = family.finish() else { continue };
        let name = MetricFamily::name(&family).to_owned();
        if !written.insert(name.clone()) {
            tracing::warn!("the metrics are not complete: {name} came twice");
            continue;
        }
        let whole = page.len();
        let added = match format {
            PageFormat::Text => TextEncoder::new()
                .encode_utf8(&[family], &mut page)
                .map_err(|error| error.to_string()),
            PageFormat::OpenMetrics => {
                openmetrics::write(&mut page, &family, created).map_err(|error| error.to_string())
            }
        };
        if let Err(error) = added {
            page.truncate(whole);
            tracing::warn!("the metrics are not complete: {name}: {error}");
        }
    }
    if format == PageFormat::OpenMetrics {
        page.push_str(openmetrics::END);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(&'static str, fn(&mut Vec<ScrapeFamily>) -> Result<()>);

    impl Collector for Fake {
        fn name(&self) -> &'static str {
            self.0
        }

        fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
            (self.1)(families)
        }
    }

    fn gauge(name: &str) -> ScrapeFamily {
        ScrapeFamily::gauge(name, "Help.").with(&[], 1.0)
    }

    fn page() -> MetricsPage {
        MetricsPage::new(vec![
            Box::new(Fake("well", |families| {
                families.push(gauge("tcpwatch_well"));
                Ok(())
            })),
            Box::new(Fake("fails", |families| {
                families.push(gauge("tcpwatch_before"));
                Err(anyhow!("no luck"))
            })),
            Box::new(Fake("panics", |families| {
                families.push(gauge("tcpwatch_then"));
                panic!("no luck at all")
            })),
            Box::new(Fake("again", |families| {
                families.push(gauge("tcpwatch_well"));
                families.push(ScrapeFamily::gauge("tcpwatch_empty", "Help."));
                Ok(())
            })),
        ])
    }

    #[test]
    fn a_collector_that_fails_or_panics_costs_only_itself_and_is_told() {
        let page = page();
        for _ in 0..2 {
            let text = page.metrics(PageFormat::Text);
            for line in [
                "tcpwatch_well 1",
                "tcpwatch_before 1",
                "tcpwatch_then 1",
                "tcpwatch_collector_success{collector=\"well\"} 1",
                "tcpwatch_collector_success{collector=\"fails\"} 0",
                "tcpwatch_collector_success{collector=\"panics\"} 0",
                "tcpwatch_collector_success{collector=\"again\"} 1",
            ] {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
            assert!(text.contains("tcpwatch_collector_duration_seconds{collector=\"fails\"} "));
        }
    }

    #[test]
    fn a_family_is_on_the_page_once() {
        let text = page().metrics(PageFormat::Text);
        assert_eq!(text.matches("# TYPE tcpwatch_well ").count(), 1, "{text}");
    }
}
