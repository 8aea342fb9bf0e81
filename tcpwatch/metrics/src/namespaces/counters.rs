//! Counters of `/proc/net/netstat` that no other exporter shows by default.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::bail;
use tcpwatch_kernel::source::netstat::{GROUP, NETSTAT, counter};

use super::{NETNS, reading::NamespaceReading};
use crate::{
    family::ScrapeFamily,
    gauges::slots::{OTHER, SeriesSlots},
    kernel::number,
};

/// Metric, labels, the kernel's name, help text. Counters of one metric are adjacent.
type NetstatCounter =
    (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

/// What follows each help text.
const SCOPE: &str = "By network namespace; other is the sum of those without series of their own.";

const COUNTERS: [NetstatCounter; 6] = [
    (
        "tcpwatch_listen_overflows_total",
        &[],
        "ListenOverflows",
        "Connections dropped because a listener's accept queue was full (ListenOverflows of \
         /proc/net/netstat).",
    ),
    (
        "tcpwatch_listen_drops_total",
        &[],
        "ListenDrops",
        "Connection requests dropped by listeners for any reason, overflows included (ListenDrops \
         of /proc/net/netstat).",
    ),
    (
        "tcpwatch_syn_queue_full_total",
        &[("action", "cookie")],
        "TCPReqQFullDoCookies",
        "SYNs that met a full queue of half-open connections, by what became of them: a SYN cookie \
         or nothing (TCPReqQFullDoCookies, TCPReqQFullDrop of /proc/net/netstat).",
    ),
    ("tcpwatch_syn_queue_full_total", &[("action", "drop")], "TCPReqQFullDrop", ""),
    (
        "tcpwatch_time_wait_overflows_total",
        &[],
        "TCPTimeWaitOverflow",
        "Connections closed without TIME_WAIT because tcp_max_tw_buckets was reached \
         (TCPTimeWaitOverflow of /proc/net/netstat).",
    ),
    (
        "tcpwatch_time_wait_reused_total",
        &[],
        "TWRecycled",
        "Sockets in TIME_WAIT that were replaced by a new outgoing connection (TWRecycled of \
         /proc/net/netstat).",
    ),
];

/// The values of [`COUNTERS`]; `None` where the kernel has none.
pub(super) type CounterValues = [Option<u64>; COUNTERS.len()];

/// Those in a text of [`NETSTAT`].
pub(super) fn values(text: &str) -> CounterValues {
    COUNTERS.map(|(_, _, kernel, _)| counter(text, kernel))
}

/// The counters of all namespaces.
#[derive(Debug, Default)]
pub(super) struct KernelCounters {
    /// Of the namespaces without series of their own, as they were last.
    last: BTreeMap<u64, CounterValues>,
    /// Their sum, those that have gone included, so that it does not decrease.
    other: [u64; COUNTERS.len()],
}

impl KernelCounters {
    /// A family for each metric.
    pub(super) fn families(
        &mut self,
        readings: &BTreeMap<u64, NamespaceReading>,
        slots: &SeriesSlots<Arc<str>>,
    ) -> Vec<ScrapeFamily> {
        let (own, others): (Vec<_>, Vec<_>) =
            readings.iter().partition(|(_, reading)| slots.admits(&reading.label));
        self.add_others(others.into_iter().map(|(number, reading)| (*number, reading.counters)));
        let mut families: Vec<ScrapeFamily> = Vec::new();
        let mut name_before = "";
        for (at, (name, labels, _, help)) in COUNTERS.iter().enumerate() {
            if *name != name_before {
                families.push(ScrapeFamily::older_counter(name, &format!("{help} {SCOPE}")));
                name_before = name;
            }
            let Some(family) = families.last_mut() else { continue };
            let mut add = |netns: &str, count| {
                family.add(&[&[(NETNS, netns)], *labels].concat(), number(count));
            };
            for (_, reading) in &own {
                if let Some(count) = reading.counters.get(at).copied().flatten() {
                    add(&reading.label, count);
                }
            }
            if let Some(sum) = self.other.get(at).filter(|sum| **sum > 0) {
                add(OTHER, *sum);
            }
        }
        families
    }

    fn add_others(&mut self, others: impl Iterator<Item = (u64, CounterValues)>) {
        let mut last = BTreeMap::new();
        for (number, values) in others {
            let before = self.last.get(&number).copied().unwrap_or_default();
            for ((sum, now), before) in self.other.iter_mut().zip(values).zip(before) {
                *sum += now.unwrap_or(0).saturating_sub(before.unwrap_or(0));
            }
            last.insert(number, values);
        }
        self.last = last;
    }
}

/// Whether this kernel has all of them.
///
/// # Errors
/// With the names of the others.
pub(super) fn all_known(readings: &BTreeMap<u64, NamespaceReading>) -> anyhow::Result<()> {
    let Some(reading) = readings.values().next() else { return Ok(()) };
    let pairs = COUNTERS.iter().zip(reading.counters);
    let missing: Vec<_> =
        pairs.filter(|(_, value)| value.is_none()).map(|((_, _, kernel, _), _)| *kernel).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{NETSTAT} does not have {} in {GROUP}", missing.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::gauges::slots::Overflow;

    const TEXT: &str = "\
TcpExt: SyncookiesSent TWRecycled ListenOverflows ListenDrops TCPTimeWaitOverflow \
TCPReqQFullDoCookies TCPReqQFullDrop
TcpExt: 1 2 3 4 18446744073709551615 6 7
IpExt: ListenDrops
IpExt: 9
";

    fn reading(label: &str, text: &str) -> NamespaceReading {
        NamespaceReading {
            label: label.into(),
            name: None,
            cgroup: None,
            at: SystemTime::UNIX_EPOCH,
            counters: values(text),
            sockets: None,
        }
    }

    fn page(counters: &mut KernelCounters, readings: &BTreeMap<u64, NamespaceReading>) -> String {
        let mut slots = SeriesSlots::new(1, Overflow::default());
        let labels = readings.values().map(|reading| Arc::clone(&reading.label));
        slots.settle(labels, |_| true);
        let families = counters.families(readings, &slots).into_iter();
        let families: Vec<_> = families.filter_map(ScrapeFamily::finish).collect();
        prometheus::TextEncoder::new().encode_to_string(&families).unwrap()
    }

    #[test]
    fn each_counter_is_the_number_below_its_name() {
        let readings = BTreeMap::from([(1, reading("7", TEXT))]);
        all_known(&readings).unwrap();
        let page = page(&mut KernelCounters::default(), &readings);
        for line in [
            "tcpwatch_listen_overflows_total{netns=\"7\"} 3",
            "tcpwatch_listen_drops_total{netns=\"7\"} 4",
            "tcpwatch_syn_queue_full_total{netns=\"7\",action=\"cookie\"} 6",
            "tcpwatch_syn_queue_full_total{netns=\"7\",action=\"drop\"} 7",
            "tcpwatch_time_wait_overflows_total{netns=\"7\"} 18446744073709552000",
            "tcpwatch_time_wait_reused_total{netns=\"7\"} 2",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} in {page}");
        }
        assert!(!page.contains("other\""), "{page}");
    }

    #[test]
    fn the_sum_of_the_others_does_not_decrease_when_one_of_them_goes() {
        let mut counters = KernelCounters::default();
        let of = |overflows: u64| format!("TcpExt: ListenOverflows\nTcpExt: {overflows}\n");
        let mut readings: BTreeMap<_, _> = [(1, 10), (2, 20), (3, 30)]
            .map(|(id, it)| (id, reading(&id.to_string(), &of(it))))
            .into();
        let line = |sum| format!("tcpwatch_listen_overflows_total{{netns=\"other\"}} {sum}\n");
        assert!(page(&mut counters, &readings).contains(&line(50)));
        readings.insert(2, reading("2", &of(25)));
        assert!(page(&mut counters, &readings).contains(&line(55)));
        readings.remove(&2);
        assert!(page(&mut counters, &readings).contains(&line(55)));
        readings.insert(3, reading("3", &of(31)));
        assert!(page(&mut counters, &readings).contains(&line(56)));
    }

    #[test]
    fn a_counter_that_is_missing_costs_no_other_and_is_named() {
        let readings =
            BTreeMap::from([(1, reading("7", &TEXT.replace("TCPReqQFullDrop", "Other")))]);
        assert!(all_known(&readings).unwrap_err().to_string().contains("TCPReqQFullDrop"));
        let page = page(&mut KernelCounters::default(), &readings);
        assert!(
            page.contains("action=\"cookie\"} 6") && !page.contains("action=\"drop\""),
            "{page}"
        );
        for cut in [0, 8, 40, TEXT.find("1 2 3").unwrap()] {
            let readings = BTreeMap::from([(1, reading("7", &TEXT[..cut]))]);
            assert!(all_known(&readings).is_err(), "{cut}");
        }
    }
}
