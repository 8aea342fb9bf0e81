//! tcpwatch and an independent witness agree about states and durations.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::harness::{
    let_pass,
    lives::lives,
    netns::Netns,
    sockets::{self, Pair, V4, V6, half_close, lose_acks, lose_all},
    watch::Watch,
    witness::{Witness, agree},
};

#[test]
fn a_witness_that_looks_every_few_milliseconds_agrees() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "3"), ("ipv4.tcp_synack_retries", "1")]);
    let watch = Watch::on(&netns);
    let witness = Witness::start(&netns, Duration::from_millis(5));
    netns.inside(|| {
        for address in [V4, V6] {
            scenes(address);
        }
    });
    watch.wait_count(4, "orphans that ended", |line| line.is("FIN_WAIT_2>CLOSED"));
    watch.wait_count(2, "handshakes that were given up", |line| line.is("SYN_RECV>CLOSED"));
    let looks = witness.stop();
    let log = watch.stop();
    let seen = agree(&looks, &lives(&log.lines));
    println!("measured: {} looks, {seen} agreements", looks.len());
    assert!(seen > 100, "{seen} agreements");
    assert_eq!(log.summary.inferred, 0);
}

/// Everything that takes at most some seconds, with all sockets closed in the end.
fn scenes(address: &str) {
    let moment = || let_pass(Duration::from_millis(60));
    let listener = TcpListener::bind(address).unwrap();
    let listening = listener.local_addr().unwrap();

    let given_up = TcpListener::bind(address).unwrap();
    lose_acks(&given_up);
    let unheard = TcpStream::connect(given_up.local_addr().unwrap()).unwrap();
    let deaf = TcpListener::bind(address).unwrap();
    lose_all(&deaf);
    let deaf_at = deaf.local_addr().unwrap();
    let waiting = sockets::start_connect(sockets::unbound(deaf_at), deaf_at);

    let orphan = Pair::over(&listener);
    moment();
    drop(orphan.client);
    let late = Pair::over(&listener);
    drop(late.client);
    moment();
    drop(late.server);
    let half_closed = Pair::over(&listener);
    half_close(&half_closed.client);
    moment();
    half_closed.close_client_first();
    Pair::over(&listener).close_server_first();
    let killed = Pair::over(&listener);
    moment();
    sockets::reset(killed.server);
    drop(killed.client);
    drop(waiting);
    let second = Pair::over(&listener);
    drop(second.client);
    drop(TcpStream::connect(listening).unwrap());
    let_pass(Duration::from_millis(4200));
    drop((orphan.server, second.server, unheard));
}
