//! `tcpwatch serve` counts exactly what happens in a namespace of its own.

mod by_cgroup;
mod connects;
mod counted_sockets;
mod durations;
mod forms;
mod laboratory;
mod list;
mod page;
mod upheaval;

use crate::{
    coverage::rerun::{self, Reason},
    harness::exporter::{Exporter, Samples},
};

/// The maximal number of attempts until the kernel has skipped no run of a hook, which it counts.
const TRIES: usize = 3;

/// The increments in a scenario. What the kernel skipped is in no metric, but its number is: then the scenario is run
/// again.
fn counted(scenario: impl Fn() -> Samples) -> Samples {
    for _ in 1..TRIES {
        let grown = scenario();
        if grown.missed() == 0 {
            return grown;
        }
        let reason =
            format!("the kernel skipped {} runs of a hook, and counted them", grown.missed());
        rerun::note("what is counted", &Reason::counted(&reason));
    }
    scenario()
}

/// All series of connect failures.
const REASONS: [&str; 9] = [
    "refused",
    "timed_out",
    "gave_up",
    "reset",
    "unreachable",
    "no_port",
    "tuple_in_use",
    "not_sent",
    "other",
];

fn failure(reason: &str) -> String {
    format!("connect_failures_total{{reason=\"{reason}\"}}")
}

/// One connect failed, for this reason.
fn failed_once(grown: &Samples, reason: &str) {
    for other in REASONS {
        let expected = i64::from(other == reason);
        assert_eq!(grown.count(&failure(other)), expected, "{other}, {reason} is expected");
    }
    assert_eq!(grown.count("connects_total"), 1);
    assert_eq!(grown.count("connects_canceled_total"), 0);
    assert_eq!(grown.count("connect_duration_seconds_count"), 0, "of successful ones only");
    assert_eq!(grown.count("connect_syn_attempts_count"), 1);
}

fn begin(netns: &crate::harness::netns::Netns) -> (Exporter, Samples) {
    let exporter = Exporter::on(netns);
    let before = exporter.samples();
    (exporter, before)
}

/// The same for all namespaces.
fn begin_on_all() -> (Exporter, Samples) {
    let exporter = Exporter::start(&["serve", "--web.listen-address", "127.0.0.1:0"]);
    let before = exporter.samples();
    (exporter, before)
}
