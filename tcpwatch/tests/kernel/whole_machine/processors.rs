//! A processor that goes offline and comes back while tcpwatch watches and counts.

use std::{fs, net::TcpListener, thread};

use rustix::{
    process::Signal,
    thread::{CpuSet, sched_setaffinity},
};

use super::is_ours;
use crate::harness::{
    exporter::{Exporter, Samples},
    netns::Netns,
    sockets::{Pair, V4},
    watch::Watch,
};

/// The first one cannot be taken offline.
const SECOND: &str = "/sys/devices/system/cpu/cpu1/online";
/// Connections in each of the three parts.
const CONNECTIONS: usize = 50;

fn set_online(online: bool) {
    fs::write(SECOND, if online { "1" } else { "0" }).unwrap();
    let now = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    assert_eq!(now.trim(), if online { "0-1" } else { "0" });
}

/// Connections one after the other, by a thread on this processor.
fn connections_on(processor: usize, netns: &Netns) {
    let work = || {
        let mut set = CpuSet::new();
        set.set(processor);
        sched_setaffinity(None, &set).unwrap();
        netns.inside(|| {
            let listener = TcpListener::bind(V4).unwrap();
            for _ in 0..CONNECTIONS {
                Pair::over(&listener).close_client_first();
            }
        });
    };
    thread::scope(|scope| scope.spawn(work).join().unwrap());
}

/// Log and metrics have all of them by now.
fn all_are_told(parts: usize, watch: &Watch, (exporter, before): (&Exporter, &Samples)) {
    let count = parts * CONNECTIONS;
    watch.wait_count(count, "TIME_WAIT of every client", |line| line.to == "TIME_WAIT");
    watch.wait_count(2 * count, "both ends established", |line| line.to == "ESTABLISHED");
    let grown = exporter.wait_for(before, "accepts_total", i64::try_from(count).unwrap());
    assert_eq!(grown.count("connects_total"), i64::try_from(count).unwrap());
}

#[test]
#[ignore = "takes a processor of the whole machine away"]
fn a_processor_that_goes_offline_and_comes_back_costs_no_record_and_no_count() {
    is_ours();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let exporter = Exporter::on(&netns);
    let before = exporter.samples();
    let counted = (&exporter, &before);

    connections_on(1, &netns);
    all_are_told(1, &watch, counted);
    // The timers of its TIME_WAIT sockets move to the other one (`timers_dead_cpu`, `kernel/time/timer.c`).
    set_online(false);
    connections_on(0, &netns);
    all_are_told(2, &watch, counted);
    set_online(true);
    connections_on(1, &netns);
    all_are_told(3, &watch, counted);
    let all = i64::try_from(3 * CONNECTIONS).unwrap();
    let last = "state_transitions_total{from=\"fin_wait_2\",to=\"time_wait\"}";
    let grown = exporter.wait_for(&before, last, all);

    assert_eq!(grown.missed(), 0, "the kernel skipped no run");
    for change in ["FIN_WAIT_2>TIME_WAIT", "SYN_SENT>ESTABLISHED", "LAST_ACK>CLOSED"] {
        assert_eq!(grown.changes().get(change), Some(&all), "{change}: {:?}", grown.changes());
    }
    let log = watch.stop();
    assert!(log.summary.lost.is_empty(), "{:?}", log.summary.lost);
    assert_eq!(exporter.stop(Signal::INT).code(), Some(0));
}
