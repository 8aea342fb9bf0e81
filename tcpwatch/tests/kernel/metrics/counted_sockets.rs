//! Sockets that are counted, not listed: in every namespace, from before the start, and after much has come and gone.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::harness::{
    churn,
    exporter::{Exporter, Samples},
    let_pass,
    netns::Netns,
    poll_within,
    sockets::{Pair, V4, half_close},
};

/// How long namespaces and connections come and go.
const CHURN: Duration = Duration::from_secs(10);
/// No hook runs between the two.
const WAITING: &str = "fin_wait_2_or_time_wait";
const STATES: [&str; 9] = [
    "listen",
    "syn_sent",
    "syn_recv",
    "established",
    "fin_wait_1",
    WAITING,
    "close_wait",
    "closing",
    "last_ack",
];

fn sockets(page: &Samples, state: &str) -> i64 {
    page.count(&format!("counted_sockets{{state=\"{state}\"}}"))
}

/// A listener, sockets that the application does not close, and one in TIME_WAIT.
fn leak(netns: &Netns, leaks: usize) -> (TcpListener, Vec<Pair>) {
    netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let pairs: Vec<_> = (0..leaks).map(|_| Pair::over(&listener)).collect();
        for pair in &pairs {
            half_close(&pair.client);
        }
        Pair::over(&listener).close_client_first();
        (listener, pairs)
    })
}

#[test]
fn sockets_from_before_the_start_are_counted_and_leave_their_states_when_they_change() {
    needs_root!();
    let netns = Netns::new();
    let (listener, pairs) = leak(&netns, 3);
    let exporter = Exporter::on(&netns);
    let expect = |expected: &[(&str, i64)]| {
        poll_within(Duration::from_secs(5), &format!("{expected:?}"), || {
            let page = exporter.samples();
            let of = |state| expected.iter().find(|(it, _)| *it == state).map_or(0, |(_, n)| *n);
            STATES.iter().all(|state| sockets(&page, state) == of(*state)).then_some(())
        });
    };
    expect(&[("listen", 1), ("close_wait", 3), (WAITING, 3 + 1)]);
    drop(pairs);
    expect(&[("listen", 1), (WAITING, 4)]);
    let pair = netns.inside(|| Pair::over(&listener));
    expect(&[("listen", 1), (WAITING, 4), ("established", 2)]);
    drop((listener, pair.client));
    expect(&[("close_wait", 1), (WAITING, 1 + 4)]);
    let page = exporter.samples();
    for state in STATES {
        assert_eq!(page.count(&format!("counted_sockets_uncertainty{{state=\"{state}\"}}")), 0);
        assert_eq!(page.count(&format!("counted_sockets_drift_total{{state=\"{state}\"}}")), 0);
    }
}

#[test]
fn a_leak_in_another_namespace_shows_on_the_host() {
    needs_root!();
    let exporter = Exporter::start(&["serve", "--web.listen-address", V4]);
    let before = sockets(&exporter.samples(), "close_wait");
    let netns = Netns::new();
    let _leak = leak(&netns, 30);
    let after = sockets(&exporter.samples(), "close_wait");
    assert!(after - before >= 30, "{before}, {after}");
}

#[test]
fn after_namespaces_and_connections_have_come_and_gone_the_counts_are_what_a_list_says() {
    needs_root!();
    let exporter = Exporter::start(&["serve", "--web.listen-address", V4]);
    let kept = Netns::new();
    let _leak = leak(&kept, 5);
    let is_over = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        let worker = || {
            let mut made = 0;
            while !is_over.load(Ordering::Relaxed) {
                churn::connections(&Netns::new(), 20);
                made += 20;
            }
            made
        };
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        let_pass(CHURN);
        is_over.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>()
    });
    // Another that starts now lists all sockets. The kernel removes namespaces one after the other, later.
    let (counted, listed) = poll_within(Duration::from_secs(30), "both to agree", || {
        let fresh = Exporter::start(&["serve", "--web.listen-address", V4]);
        let (listed, counted) = (fresh.samples(), exporter.samples());
        let apart = STATES.map(|it| (it, sockets(&counted, it) - sockets(&listed, it)));
        println!("measured: {apart:?}");
        // The connection over which the first of the two pages came is in another state when the second is made: seen
        // were FIN_WAIT_1 on one and TIME_WAIT on the other. What the kernel skipped is missing until the next
        // comparison.
        let is_same = |(_, apart): &(&str, i64)| apart.abs() <= 1 + counted.missed();
        apart.iter().all(is_same).then_some((counted, listed))
    });
    println!("measured: {made} connections, {} runs of hooks skipped", counted.missed());
    assert!(made > 1000, "{made}");
    assert!(sockets(&listed, "close_wait") >= 5);
}
