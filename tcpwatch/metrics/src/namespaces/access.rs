//! Which network namespaces are read, and when.

use std::{collections::BTreeMap, sync::Arc};

use tcpwatch_kernel::source::kept_namespaces::Access;

use super::{LAST_READ, NETNS, reading::NamespaceReading};
use crate::{
    family::ScrapeFamily,
    gauges::slots::SeriesSlots,
    kernel::{number, unix},
};

pub(super) fn families(
    access: Access,
    readings: &BTreeMap<u64, NamespaceReading>,
    slots: &SeriesSlots<Arc<str>>,
) -> [ScrapeFamily; 3] {
    let mut how = ScrapeFamily::gauge(
        "tcpwatch_network_namespaces",
        "Network namespaces by what is read of them: entered are read in full, of counters only the kernel's own \
         counters are, because they could not be entered or are too many; left_out are not read. Refused are those \
         whose inode is known and that could not be entered, as it is with all that come after privileges have been \
         given up.",
    );
    for (label, count) in [
        ("entered", access.entered),
        ("counters", access.passed),
        ("left_out", access.left_out),
        ("refused", access.refused),
    ] {
        how.add(&[("access", label)], number(u64::try_from(count).unwrap_or(u64::MAX)));
    }
    let mut info = ScrapeFamily::gauge(
        "tcpwatch_network_namespace_info",
        "1 for each network namespace that is read: its name as in `ip netns`, and the cgroup of its first process. \
         netns is the inode, as readlink /proc/PID/ns/net shows it; where that is not known, proc: and the inode of \
         /proc/PID/net/netstat.",
    );
    let mut read = ScrapeFamily::gauge(
        LAST_READ,
        "When the network namespace was last read, as Unix time: every 5 s, or after 20 times what a pass through all \
         of them takes; one whose turn comes more than 2 s after the pass began is read by the next pass. Connections \
         are listed less often, see tcpwatch_ephemeral_ports_timestamp_seconds.",
    );
    for reading in readings.values().filter(|reading| slots.admits(&reading.label)) {
        let label = (NETNS, &*reading.label);
        let name = reading.name.as_deref().unwrap_or_default();
        let cgroup = reading.cgroup.as_deref().unwrap_or_default();
        info.add(&[label, ("name", name), ("cgroup", cgroup)], 1.0);
        read.add(&[label], unix(reading.at));
    }
    [how, info, read]
}
