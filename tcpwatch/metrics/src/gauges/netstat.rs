//! Counters of `/proc/net/netstat` that no other exporter shows by default.

use std::fs;

use anyhow::{Context as _, bail};
use tcpwatch_kernel::source::netstat::{GROUP, NETSTAT, counter};

use super::time_wait;
use crate::{collector::Collector, family::ScrapeFamily, kernel::number};

/// The limit for timewait mini-sockets of the thread's network namespace.
const LIMIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

/// Metric, labels, the kernel's name, help text. Counters of one metric are adjacent.
type NetstatCounter =
    (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const COUNTERS: [NetstatCounter; 6] = [
    (
        "tcpwatch_listen_overflows_total",
        &[],
        "ListenOverflows",
        "Connections dropped because a listener's accept queue was full (ListenOverflows of \
         /proc/net/netstat). Network namespace of this process.",
    ),
    (
        "tcpwatch_listen_drops_total",
        &[],
        "ListenDrops",
        "Connection requests dropped by listeners for any reason, overflows included (ListenDrops \
         of /proc/net/netstat). Network namespace of this process.",
    ),
    (
        "tcpwatch_syn_queue_full_total",
        &[("action", "cookie")],
        "TCPReqQFullDoCookies",
        "SYNs that met a full queue of half-open connections, by what became of them: a SYN cookie \
         or nothing (TCPReqQFullDoCookies, TCPReqQFullDrop of /proc/net/netstat). Network \
         namespace of this process.",
    ),
    ("tcpwatch_syn_queue_full_total", &[("action", "drop")], "TCPReqQFullDrop", ""),
    (
        "tcpwatch_time_wait_overflows_total",
        &[],
        "TCPTimeWaitOverflow",
        "Connections closed without TIME_WAIT because tcp_max_tw_buckets was reached \
         (TCPTimeWaitOverflow of /proc/net/netstat). Network namespace of this process.",
    ),
    (
        "tcpwatch_time_wait_reused_total",
        &[],
        "TWRecycled",
        "Sockets in TIME_WAIT that were replaced by a new outgoing connection (TWRecycled of \
         /proc/net/netstat). Network namespace of this process.",
    ),
];

/// Reads the counters and the limit.
#[derive(Debug)]
pub(super) struct Netstat;

impl Collector for Netstat {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> anyhow::Result<()> {
        let limit = fs::read_to_string(LIMIT).with_context(|| format!("cannot read {LIMIT}"));
        let limit = limit.and_then(|text| {
            text.trim().parse::<u32>().with_context(|| format!("{LIMIT} holds {text:?}"))
        });
        if let Ok(limit) = limit {
            families.push(
                ScrapeFamily::gauge(
                    "tcpwatch_time_wait_limit",
                    "Maximal number of timewait mini-sockets (tcp_max_tw_buckets). \
                     Network namespace of this process.",
                )
                .with(&[], f64::from(limit)),
            );
        }
        let used = time_wait::family().map(|family| families.push(family));
        let text = fs::read_to_string(NETSTAT).with_context(|| format!("cannot read {NETSTAT}"))?;
        counters(&text, families)?;
        limit.map(drop).and(used)
    }
}

/// Adds the counters that this kernel has; an error names the others.
fn counters(text: &str, families: &mut Vec<ScrapeFamily>) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for metric in COUNTERS.chunk_by(|(a, ..), (b, ..)| a == b) {
        let Some((name, _, _, help)) = metric.first() else { continue };
        let mut family = ScrapeFamily::counter(name, help);
        for (_, labels, kernel, _) in metric {
            match counter(text, kernel) {
                Some(count) => family.add(labels, number(count)),
                None => missing.push(*kernel),
            }
        }
        families.push(family);
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{NETSTAT} does not have {} in {GROUP}", missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
TcpExt: SyncookiesSent TWRecycled ListenOverflows ListenDrops TCPTimeWaitOverflow \
TCPReqQFullDoCookies TCPReqQFullDrop
TcpExt: 1 2 3 4 18446744073709551615 6 7
IpExt: ListenDrops
IpExt: 9
";

    fn page(text: &str) -> (String, anyhow::Result<()>) {
        let mut families = Vec::new();
        let result = counters(text, &mut families);
        let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
        (prometheus::TextEncoder::new().encode_to_string(&families).unwrap(), result)
    }

    #[test]
    fn each_counter_is_the_number_below_its_name() {
        let (page, result) = page(TEXT);
        result.unwrap();
        for line in [
            "tcpwatch_listen_overflows_total 3",
            "tcpwatch_listen_drops_total 4",
            "tcpwatch_syn_queue_full_total{action=\"cookie\"} 6",
            "tcpwatch_syn_queue_full_total{action=\"drop\"} 7",
            "tcpwatch_time_wait_overflows_total 18446744073709552000",
            "tcpwatch_time_wait_reused_total 2",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} in {page}");
        }
    }

    #[test]
    fn a_counter_that_is_missing_costs_no_other_and_is_named() {
        let (page, result) = page(&TEXT.replace("TCPReqQFullDrop", "Other"));
        assert!(result.unwrap_err().to_string().contains("TCPReqQFullDrop"));
        assert!(page.contains("tcpwatch_syn_queue_full_total{action=\"cookie\"} 6"));
        assert!(!page.contains("action=\"drop\""), "{page}");
        for cut in [0, 8, 40, TEXT.find("1 2 3").unwrap()] {
            assert!(counters(&TEXT[..cut], &mut Vec::new()).is_err(), "{cut}");
        }
    }
}
