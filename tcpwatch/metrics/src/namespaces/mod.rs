//! What only the kernel knows, by network namespace: its own counters of refused connections, the accept queues of
//! listeners, and the local ports that connections take.
//!
//! A pass reads every namespace of the scope and ends after [`BUDGET`]: what is left is read by the next one, and
//! [`LAST_READ`] says of each when that was. Listing connections costs most: it is bounded by itself. Memory: while a
//! namespace is read 100 bytes for each destination, up to [`destinations::MOST`] of them, and some kilobytes for each namespace.

mod accept_queues;
mod access;
mod counters;
mod destinations;
mod forecast;
mod ports;
mod reading;
mod time_wait;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Resource, getrlimit};
use tcpwatch_kernel::source::{
    cgroups::CgroupNames, kept_namespaces::NamespaceTable, snapshot::SnapshotScope,
};

use self::{
    accept_queues::AcceptQueues, counters::KernelCounters, ports::PortGauges,
    reading::NamespaceReading,
};
use crate::{
    background::{self, Chore},
    collector::Collector,
    family::ScrapeFamily,
    gauges::slots::{Overflow, SeriesSlots},
};

/// The maximal number of namespaces that are entered, and of those with series of their own.
const MOST: usize = 128;
/// Descriptors that one takes.
const DESCRIPTORS: u64 = 3;
/// New namespaces are looked for after this long,
const PERIOD: Duration = Duration::from_secs(10);
/// or after this many times what it took, if that is more.
const SHARE: u32 = 50;
/// Connections are listed again after this many times what listing those of all namespaces takes.
const LISTING: u32 = 100;
/// A pass begins to list no further connections after so much of it.
const LISTED: Duration = Duration::from_millis(500);
/// A namespace is held for this long at most after everything else has let go of it, but for what looking for others
/// takes.
const HELD: Duration = Duration::from_secs(1);
/// A pass begins to read no further namespace after this long.
const BUDGET: Duration = Duration::from_secs(2);

/// The name of the metric that says when a namespace was read.
const LAST_READ: &str = "tcpwatch_network_namespace_last_read_timestamp_seconds";
/// The label of a namespace.
const NETNS: &str = "netns";

/// Reads the namespaces of a scope.
#[derive(Debug)]
pub struct NamespaceGauges {
    table: Arc<Mutex<NamespaceTable>>,
    /// When namespaces are to be looked for again.
    due: Option<Instant>,
    readings: BTreeMap<u64, NamespaceReading>,
    slots: SeriesSlots<Arc<str>>,
    queues: AcceptQueues,
    counters: KernelCounters,
    ports: PortGauges,
}

/// How often label values got no series of their own, by label.
#[derive(Clone, Debug, Default)]
pub struct NamespaceOverflows {
    pub(crate) netns: Overflow,
    pub(crate) listener: Overflow,
    pub(crate) destination: Overflow,
}

impl NamespaceGauges {
    /// Of the namespaces of `scope`, with the names of cgroups from `names`.
    #[must_use]
    pub fn new(
        scope: SnapshotScope,
        names: &Arc<Mutex<CgroupNames>>,
        overflows: &NamespaceOverflows,
    ) -> Self {
        // Clients of the page may have half of the descriptors.
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = usize::try_from(descriptors / 3 / DESCRIPTORS).unwrap_or(MOST);
        Self {
            table: Arc::new(Mutex::new(NamespaceTable::new(scope, room.clamp(1, MOST)))),
            due: None,
            readings: BTreeMap::new(),
            slots: SeriesSlots::new(MOST, Arc::clone(&overflows.netns)),
            queues: AcceptQueues::new(Arc::clone(names), Arc::clone(&overflows.listener)),
            counters: KernelCounters::default(),
            ports: PortGauges::new(Arc::clone(names), Arc::clone(&overflows.destination)),
        }
    }

    /// What has to be done every second: lets go of namespaces that nothing else holds any more.
    pub(crate) fn letting_go(&self) -> Chore {
        let table = Arc::clone(&self.table);
        Box::new(move || {
            let began = Instant::now();
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            if table.lacks_holder()
                && let Err(error) = table.refresh()
            {
                tracing::warn!("cannot look for network namespaces in /proc: {error}");
            }
            HELD.max(began.elapsed() * background::SHARE)
        })
    }

    fn look_for_new(&mut self, now: Instant) -> Result<()> {
        if self.due.is_some_and(|due| now < due) {
            return Ok(());
        }
        let found = self.table.lock().unwrap_or_else(PoisonError::into_inner).refresh();
        self.due = Some(now + PERIOD.max(now.elapsed() * SHARE));
        found.context("cannot look for network namespaces in /proc")
    }

    /// Reads the namespaces; the error is the first one.
    fn pass(&mut self, began: Instant) -> Result<()> {
        let mut outcome = Ok(());
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<_> = table.iter_mut().collect();
        let mut last: BTreeMap<_, _> = std::mem::take(&mut self.readings);
        // Those first whose connections were listed longest ago, or never.
        let listed_at = |reading: &NamespaceReading| Some(reading.connections()?.listed);
        kept.sort_by_key(|(number, _)| last.get(number).and_then(listed_at));
        let took = |reading: &NamespaceReading| Some(reading.connections()?.took);
        let all: Duration = last.values().filter_map(took).sum();
        let mut listing = Duration::ZERO;
        for (number, namespace) in kept {
            let mut before = last.remove(&number);
            if began.elapsed() > BUDGET {
                self.readings.extend(before.map(|before| (number, before)));
                continue;
            }
            let earlier = before.as_mut().and_then(NamespaceReading::take_connections);
            let is_old = earlier.as_ref().is_none_or(|it| it.listed.elapsed() >= all * LISTING);
            let lists = is_old && listing < LISTED;
            let read = NamespaceReading::of(namespace, (lists, earlier));
            if lists && let Ok(Some(reading)) = &read {
                listing += took(reading).unwrap_or_default();
            }
            match read {
                Ok(reading) => self.readings.extend(reading.map(|reading| (number, reading))),
                Err(error) => {
                    self.readings.extend(before.map(|before| (number, before)));
                    let label = &namespace.label;
                    let error = anyhow!(error).context(format!("network namespace {label}"));
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }
}

impl Collector for NamespaceGauges {
    fn name(&self) -> &'static str {
        "namespaces"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        let began = Instant::now();
        let found = self.look_for_new(began);
        let read = self.pass(began);
        let readings = &self.readings;
        self.slots.settle(readings.values().map(|reading| Arc::clone(&reading.label)), |label| {
            readings.values().any(|reading| reading.label == *label)
        });
        let slots = &self.slots;
        let access = self.table.lock().unwrap_or_else(PoisonError::into_inner).access();
        families.extend(access::families(access, readings, slots));
        families.extend(self.counters.families(readings, slots));
        families.extend(time_wait::families(readings, slots));
        families.extend(self.queues.families(readings));
        families.extend(self.ports.families(readings, slots));
        found.and(read).and(counters::all_known(&self.readings))
    }
}
