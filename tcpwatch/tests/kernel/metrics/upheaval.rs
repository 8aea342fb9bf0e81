//! Restarts, and namespaces and interfaces that are created and removed: no counter decreases, no label is new, nothing
//! is left behind.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::{begin, counted, page::backwards};
use crate::harness::{
    churn,
    exporter::{Exporter, Samples},
    netns::Netns,
    poll_within,
    sockets::{Pair, V4},
};

/// Number of network namespaces, and how many at a time.
const NAMESPACES: usize = 1000;
const AT_A_TIME: usize = 4;
/// Descriptors that may be open during one page and not during another: connections of scrapes.
const FEW: f64 = 3.0;
/// Namespaces are looked for every 10 s, or after 50 times what it takes.
const LATER: Duration = Duration::from_mins(1);

/// One namespace after another, with a connection in each.
fn namespaces_come_and_go(left: &AtomicUsize) {
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        churn::connections(&Netns::new(), 1);
    }
}

/// Interfaces of `netns`, as containers make them, until `is_over`.
fn interfaces_come_and_go(netns: &Netns, is_over: impl Fn() -> bool) {
    while !is_over() {
        netns.run("ip link add cable type veth peer name plug");
        netns.run("ip link delete cable");
    }
}

/// The names of all series except those of single network namespaces, and counters of single cgroups by reason or kind, which
/// appear with their first count.
fn names(samples: &Samples) -> Vec<&String> {
    let appears = |series: &&String| {
        series.contains("_total{cgroup=")
            && !series.contains("{cgroup=\"unknown\"")
            && series.contains("\",")
    };
    let is_kept = |series: &&String| !series.contains("netns=") && !appears(series);
    samples.0.keys().filter(is_kept).collect()
}

#[test]
fn a_thousand_namespaces_and_interfaces_come_and_go_without_a_trace_but_their_counts() {
    needs_root!();
    let home = Netns::new();
    let exporter = home.inside(|| Exporter::start(&["serve", "--web.listen-address", V4]));
    let page = || home.inside(|| exporter.samples());
    let first = page();
    let mut before = first.clone();
    let left = AtomicUsize::new(NAMESPACES);
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..AT_A_TIME).map(|_| scope.spawn(|| namespaces_come_and_go(&left))).collect();
        let is_over = || workers.iter().all(thread::ScopedJoinHandle::is_finished);
        let interfaces =
            scope.spawn(|| interfaces_come_and_go(&home, || left.load(Ordering::Relaxed) == 0));
        while !is_over() || !interfaces.is_finished() {
            let now = page();
            assert_eq!(backwards(&before, &now), Vec::<String>::new());
            let failed: Vec<_> = now
                .0
                .iter()
                .filter(|(series, value)| series.contains("collector_success") && **value < 1.0)
                .collect();
            assert!(failed.is_empty(), "{failed:?}");
            before = now;
        }
    });
    let last = page();
    let own = format!("listener_backlog{{netns=\"{}\"", home.inode);
    let listeners = last.0.keys().filter(|series| series.contains(&own)).count();
    assert_eq!(listeners, 1, "its own");
    let namespaces = |of: &Samples| of.get("network_namespaces{access=\"counters\"}");
    poll_within(LATER, "none of them is read", || {
        (namespaces(&page()) <= namespaces(&first)).then_some(())
    });
    assert!(names(&first) == names(&last), "no series is new, none has gone: {last:#?}");
    // Others connect, too: all namespaces count. What is missing was skipped by the kernel.
    let grown = last.since(&first);
    let connects = grown.count("connects_total") + grown.missed() + 1;
    assert!(connects >= i64::try_from(NAMESPACES).unwrap(), "{connects}");
    let opened = last.0["process_open_fds"] - first.0["process_open_fds"];
    assert!(opened <= FEW, "{opened} more descriptors are open");
}

#[test]
fn a_restart_begins_at_zero_with_the_same_series_and_claims_no_time_that_it_did_not_see() {
    needs_root!();
    let netns = Netns::new();
    let grown = counted(|| {
        let (killed, at_first) = begin(&netns);
        churn::connections(&netns, 100);
        let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
        killed.wait_for(&at_first, "accepts_total", 101);
        drop(killed);

        let (exporter, before) = begin(&netns);
        // A cgroup has series from its first socket on.
        let always = |samples| -> Vec<_> {
            names(samples).into_iter().filter(|it| !it.contains("cgroup=\"/")).collect()
        };
        assert!(always(&at_first) == always(&before), "the same series: {before:#?}");
        for series in ["connects_total", "accepts_total", "resets_sent_total"] {
            assert_eq!(before.count(series), 0, "{series}");
        }
        assert!(before.changes().is_empty(), "{:?}", before.changes());
        netns.inside(|| pair.close_client_first());
        exporter.wait_for(&before, "connections_closed_total{initiator=\"remote\"}", 1);
        exporter.wait_for(&before, "connection_ends_total{reason=\"normal\"}", 1)
    });
    assert_eq!(grown.count("state_duration_seconds_count{state=\"established\"}"), 0);
    assert_eq!(grown.count("state_durations_unknown_total{state=\"established\"}"), 2);
    assert_eq!(grown.changes().get("ESTABLISHED>FIN_WAIT_1"), Some(&1));
    assert_eq!(grown.count("connects_total"), 0);
}
