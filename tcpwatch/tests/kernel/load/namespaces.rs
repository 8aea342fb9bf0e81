//! Network namespaces that are created and removed while every one is watched.

use std::{net::TcpListener, thread, time::Duration};

use super::run::{Run, descriptors, occurrences, own_kib};
use crate::harness::{
    netns::Netns,
    sockets::{Pair, bound, lose_all, start_connect, unbound},
};

const NAMESPACES: usize = 1000;
/// At the same time.
const TOGETHER: usize = 50;
/// The port in every namespace, which excludes the traffic of the rest of this machine.
const PORT: u16 = 4747;
const WHILE: Duration = Duration::from_mins(1);
/// Kibibytes by which memory may grow once tables and caches have their size: the sysctls of a namespace take some
/// hundred bytes, and are kept for 4,096 of them.
const FLAT: u64 = 4096;

/// A connection that is closed, and one whose SYN is retransmitted: for this the sysctls of each namespace are read.
fn live(round: usize, watch: &Run) {
    let all: Vec<Netns> = thread::scope(|scope| {
        let born: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(Netns::new)).collect();
        born.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut kept = Vec::new();
    for netns in &all {
        kept.push(netns.inside(|| {
            let listener = TcpListener::bind(("127.0.0.1", PORT)).unwrap();
            Pair::over(&listener).close_client_first();
            drop(listener);
            let deaf = bound(([127, 0, 0, 2], PORT).into());
            deaf.listen(1).unwrap();
            lose_all(&deaf);
            let remote = deaf.local_addr().unwrap().as_socket().unwrap();
            (start_connect(unbound(remote), remote), deaf)
        }));
    }
    watch.wait_count(WHILE, r#""kind":"syn""#, TOGETHER * (round + 1));
}

#[test]
fn a_thousand_namespaces_come_and_go_and_nothing_of_them_stays() {
    needs_root!();
    let port = PORT.to_string();
    let watch = Run::start(&["--port", &port, "--buffer", "16M"]);
    let measure = || (descriptors(watch.pid()), own_kib(watch.pid()).unwrap());
    let rounds = NAMESPACES / TOGETHER;
    for round in 0..2 {
        live(round, &watch);
    }
    let early = measure();
    for round in 2..rounds {
        live(round, &watch);
    }
    // A namespace is removed some time after its last process has left it.
    watch.wait_count(WHILE, r#""reason":"netns_gone""#, NAMESPACES * 99 / 100);
    let late = measure();
    println!("measured: descriptors and KiB of its own: {early:?}, then {late:?}");
    assert_eq!(late.0, early.0, "descriptors");
    assert!(late.1 <= early.1 + FLAT, "memory: {early:?}, then {late:?}");
    let ended = watch.stop();
    let missed = usize::try_from(ended.summary.lost.values().sum::<u64>()).unwrap();
    let gone = occurrences(&ended.text, r#""reason":"netns_gone""#);
    println!("measured: {gone} ended with their namespace; {:?}", ended.summary);
    assert!(gone + missed >= NAMESPACES, "{gone}, {missed} missed");
    assert!(ended.summary.open <= u64::try_from(missed).unwrap(), "{:?}", ended.summary);
}
