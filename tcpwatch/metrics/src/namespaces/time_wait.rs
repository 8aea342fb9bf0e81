//! Timewait mini-sockets against their limit, which every network namespace has for itself.

use std::{collections::BTreeMap, sync::Arc};

use super::{NETNS, reading::NamespaceReading};
use crate::{family::ScrapeFamily, gauges::slots::SeriesSlots};

pub(super) fn families(
    readings: &BTreeMap<u64, NamespaceReading>,
    slots: &SeriesSlots<Arc<str>>,
) -> [ScrapeFamily; 2] {
    let mut limit = ScrapeFamily::gauge(
        "tcpwatch_time_wait_limit",
        "Maximal number of timewait mini-sockets (tcp_max_tw_buckets), by network namespace.",
    );
    let mut used = ScrapeFamily::gauge(
        "tcpwatch_time_wait_used",
        "Timewait mini-sockets that count towards tcpwatch_time_wait_limit: sockets in TIME_WAIT, and orphans in \
         FIN_WAIT_2 (sock_diag), by network namespace.",
    );
    for reading in readings.values().filter(|reading| slots.admits(&reading.label)) {
        let Some(connections) = reading.connections() else { continue };
        let label = [(NETNS, &*reading.label)];
        used.add(&label, connections.waiting.into());
        if let Some(most) = connections.most_waiting {
            limit.add(&label, most.into());
        }
    }
    [limit, used]
}
