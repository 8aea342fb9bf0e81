//! The page as a whole: counters never decrease, it is sent soon, and it works beside a log.

use std::{net::TcpListener, thread};

use rustix::process::Signal;

use super::begin;
use crate::harness::{
    churn,
    exporter::{Exporter, Samples},
    netns::Netns,
    poll,
    program::{loaded_programs, programs_of, tcpwatch},
};

/// Pages that each of several readers fetches while connections are opened and closed.
const PAGES: usize = 40;
const READERS: usize = 4;

#[test]
fn no_counter_goes_backwards_while_connections_come_and_go() {
    needs_root!();
    let netns = Netns::new();
    let (exporter, before) = begin(&netns);
    thread::scope(|scope| {
        scope.spawn(|| churn::connections(&netns, 2000));
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut before = before.clone();
                for _ in 0..PAGES {
                    let now = exporter.samples();
                    assert_eq!(backwards(&before, &now), Vec::<String>::new());
                    before = now;
                }
            });
        }
    });
    let names = |samples: &Samples| samples.0.keys().cloned().collect::<Vec<_>>();
    let after = exporter.samples();
    // A reason of one cgroup's has a series from its first count on.
    let is_new = |name: &String| !before.0.contains_key(name) && !name.contains("cgroup=");
    let new: Vec<_> = names(&after).into_iter().filter(is_new).collect();
    assert_eq!(new, Vec::<String>::new(), "every series was there before");
}

/// Counters that have decreased, and those that have disappeared, but for those of a network namespace, which go with
/// it.
pub(super) fn backwards(before: &Samples, now: &Samples) -> Vec<String> {
    let counters = |series: &&String| {
        let name = series.split('{').next().unwrap_or_default();
        ["_total", "_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix))
    };
    let fallen = before.0.keys().filter(counters).filter(|series| match now.0.get(*series) {
        Some(value) => value < &before.0[*series],
        None => !series.contains("netns="),
    });
    fallen.cloned().collect()
}

#[test]
fn it_ends_soon_and_well_and_leaves_nothing_behind() {
    needs_root!();
    for signal in [Signal::TERM, Signal::INT] {
        let exporter = Exporter::on(&Netns::new());
        exporter.page();
        let programs = programs_of(exporter.pid());
        assert!(!programs.is_empty());
        let status = exporter.stop(signal);
        assert_eq!(status.code(), Some(0), "{signal:?}");
        poll("its programs are gone", || loaded_programs().is_disjoint(&programs).then_some(()));
    }
}

#[test]
fn an_address_in_use_is_told_with_status_3_and_nothing_is_attached() {
    needs_root!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for args in [&["serve"][..], &["--port", "1"]] {
        let output =
            tcpwatch().args(args).args(["--web.listen-address", &address]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}: it is in use")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn metrics_beside_the_log_count_what_its_filters_drop() {
    needs_root!();
    let exporter = Exporter::start(&["--port", "1", "--web.listen-address", "127.0.0.1:0"]);
    let before = exporter.samples();
    let netns = Netns::new();
    churn::connections(&netns, 50);
    let grown = exporter.wait_for(&before, "connects_total", 50);
    // Others connect, too: all namespaces count.
    assert!(grown.count("accepts_total") >= 50);
    assert!(grown.count("connection_ends_total{reason=\"normal\"}") >= 49);
    assert_eq!(grown.count("events_total"), 0, "nothing of it goes into the ring");
    assert_eq!(exporter.stop(Signal::INT).code(), Some(0));
}

#[test]
fn every_collector_succeeds_and_every_hook_is_told() {
    needs_root!();
    let exporter = Exporter::on(&Netns::new());
    let samples = exporter.samples();
    for collector in ["kernel", "namespaces", "probes", "process", "http"] {
        let series = format!("collector_success{{collector=\"{collector}\"}}");
        assert_eq!(samples.count(&series), 1, "{collector}");
        let took = samples.get(&format!("collector_duration_seconds{{collector=\"{collector}\"}}"));
        assert!(took > 0.0, "{collector}");
    }
    assert_eq!(samples.count("probe_attached{probe=\"inet_sock_set_state\"}"), 1);
    assert_eq!(samples.count("events_total"), 0, "no ring, no records");
    let hooks = samples.0.keys().filter(|name| name.contains("probe_attached")).count();
    assert_eq!(hooks, 8, "all but that of errors, which counts nothing");
    let address = exporter.address();
    assert!(address.ip().is_loopback(), "{address}");
}
