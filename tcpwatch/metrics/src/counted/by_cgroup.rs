//! Counters by cgroup, and what a cgroup is.

use tcpwatch_common::counts::{BLOCK_WORDS, CONNECTS, SYNS_SUM};

use super::{UNKNOWN, tally::LabelTally};
use crate::{
    catalog::{COUNTS, CounterSpec},
    family::ScrapeFamily,
    kernel::number,
};

/// Those besides [`COUNTS`].
const MORE: [CounterSpec; 2] = [
    CounterSpec {
        name: "tcpwatch_connects_total",
        help: "Connect attempts: CLOSED to SYN_SENT.",
        label: "",
        series: &[("", &[CONNECTS])],
    },
    CounterSpec {
        name: "tcpwatch_connect_syns_total",
        help: "SYNs of connect attempts that have ended.",
        label: "",
        series: &[("", &[SYNS_SUM])],
    },
];

pub(super) fn families(tally: &LabelTally, covers: &str) -> Vec<ScrapeFamily> {
    let is_own = |spec: &&CounterSpec| {
        spec.series.iter().flat_map(|(_, words)| *words).all(|word| *word >= BLOCK_WORDS)
    };
    let specs = MORE.iter().chain(COUNTS.iter().filter(is_own));
    specs.map(|spec| family(spec, tally, covers)).chain([info(tally)]).collect()
}

/// A series with a reason or a kind is there from its first count on; those of [`UNKNOWN`] always are.
fn family(spec: &CounterSpec, tally: &LabelTally, covers: &str) -> ScrapeFamily {
    let name = spec.name.replacen("tcpwatch_", "tcpwatch_cgroup_", 1);
    let help = format!(
        "{} By the cgroup of the socket: gone are cgroups that had series of their own and exist no longer. {covers}",
        spec.help
    );
    let mut family = ScrapeFamily::counter(&name, &help);
    for (cgroup, word) in tally.series() {
        for (value, words) in spec.series {
            let count: u64 = words.iter().map(|index| word(*index)).sum();
            let labels = [("cgroup", cgroup), (spec.label, *value)];
            if spec.label.is_empty() {
                family.add(&labels[..1], number(count));
            } else if count > 0 || cgroup == UNKNOWN {
                family.add(&labels, number(count));
            }
        }
    }
    family
}

fn info(tally: &LabelTally) -> ScrapeFamily {
    let help = "1 for each cgroup with series of its own: its innermost systemd unit, the id of its container and the uid \
                of its Kubernetes pod, as its path says; empty where there is none.";
    let mut family = ScrapeFamily::gauge("tcpwatch_cgroup_info", help);
    for (cgroup, place) in tally.labels().places() {
        let container = place.container.as_ref().map(|container| &*container.id);
        let labels = [
            ("cgroup", &*cgroup),
            ("unit", place.unit.as_deref().unwrap_or_default()),
            ("container_id", container.unwrap_or_default()),
            ("pod_uid", place.pod.as_deref().unwrap_or_default()),
        ];
        family.add(&labels, 1.0);
    }
    family
}
