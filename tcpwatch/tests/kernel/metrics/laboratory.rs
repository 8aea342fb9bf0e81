//! The laboratory causes failures in namespaces of its own, and the corresponding series increase.

use super::begin_on_all;
use crate::harness::{exporter::Samples, program::tcpwatch, side_by_side};

/// Runs a scenario, which passes, beside an exporter of all namespaces. Others are counted, too: the increments are at
/// least those of the scenario.
fn after(scenario: &str) -> Samples {
    let (exporter, before) = begin_on_all();
    let run = tcpwatch()
        .args(["lab", "run", scenario, "--profile", "quick", "--color", "never"])
        .output()
        .unwrap();
    let told = [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(run.status.success(), "{told}");
    exporter.samples().since(&before)
}

fn at_least(grown: &Samples, series: &str, number: i64) {
    let count = grown.count(series);
    assert!(count >= number, "{series}: {count}");
}

#[test]
fn scenarios_of_the_laboratory_raise_the_series_of_their_trouble() {
    needs_root!();
    side_by_side(&[
        ("close-wait", close_wait),
        ("syn-retries", syn_retries),
        ("accept-queue-full", accept_queue_full),
        ("refused", refused),
    ]);
}

/// Longer than its peer's `FIN_WAIT_2` of 3 s.
fn close_wait() {
    let grown = after("close-wait");
    let changes = grown.changes();
    for change in ["ESTABLISHED>CLOSE_WAIT", "FIN_WAIT_2>CLOSED", "CLOSE_WAIT>LAST_ACK"] {
        assert!(changes.get(change).is_some_and(|count| *count >= 1), "{change}: {changes:?}");
    }
    assert!(grown.stays("close_wait", ("1", "5")) >= 1, "3 s and more");
    assert!(grown.stays("fin_wait_2", ("1", "5")) >= 1, "3 s");
    at_least(&grown, "connection_ends_total{reason=\"timer\"}", 1);
    at_least(&grown, "connection_ends_total{reason=\"reset_received\"}", 1);
}

fn syn_retries() {
    let grown = after("syn-retries");
    at_least(&grown, "retransmits_total{kind=\"syn\"}", 2);
    at_least(&grown, "connect_failures_total{reason=\"timed_out\"}", 1);
    let (up_to_2, up_to_3) = (
        grown.count("connect_syn_attempts_bucket{le=\"2\"}"),
        grown.count("connect_syn_attempts_bucket{le=\"3\"}"),
    );
    assert!(up_to_3 > up_to_2, "three SYNs: {up_to_2} {up_to_3}");
    assert!(grown.stays("syn_sent", ("5", "10")) >= 1, "1 s, 2 s and 4 s");
}

fn accept_queue_full() {
    let grown = after("accept-queue-full");
    at_least(&grown, "retransmits_total{kind=\"syn\"}", 2);
    at_least(&grown, "connect_duration_seconds_count", 2);
    let quick = grown.count("connect_duration_seconds_bucket{le=\"1\"}");
    let all = grown.count("connect_duration_seconds_count");
    assert!(all > quick, "one waited for the second timer: {quick} of {all}");
}

fn refused() {
    let grown = after("refused");
    at_least(&grown, "connect_failures_total{reason=\"refused\"}", 1);
    at_least(&grown, "resets_received_total", 1);
}
