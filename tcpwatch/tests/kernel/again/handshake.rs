//! Retransmissions of SYN and SYN+ACK, and fast open.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use crate::harness::{
    connections::{about, await_connection, connection, retries, turned},
    kernel::ACCEPTED_IN_SYN_RECV,
    let_pass,
    line::Line,
    lives::life,
    netns::Netns,
    options,
    sockets::{self, V4},
    watch::Watch,
};

const SOON: Duration = Duration::from_secs(20);

fn listener(netns: &Netns) -> (TcpListener, SocketAddr) {
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The first timeout sends nothing (`syn_ack_recalc` in `net/ipv4/inet_connection_sock.c`).
pub(super) fn a_deferred_accept_passes_one_timeout_without_a_segment() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    options::set(&listener, libc::TCP_DEFER_ACCEPT, 2);
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    let ends = (listening, client.local_addr().unwrap());
    watch.wait_count(1, "SYN+ACK again", |line| line.event == "retransmit");
    let log = watch.stop();
    let line = retries(&log.lines, "syn_ack", ends)[0];
    assert_eq!((line.attempt, line.expected_s), (Some(1), Some(3.0)), "{line}");
    let since = line.since_last_s.unwrap();
    assert!((3.0..3.6).contains(&since), "{line}");
}

/// A client loses its connection and connects from the same port: it gets a challenge ACK, resets it, and sends the SYN
/// again at once (`tcp_rcv_synsent_state_process` in `net/ipv4/tcp_input.c`).
pub(super) fn a_syn_that_follows_a_challenge_was_not_expected_later() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    let local: SocketAddr = "127.0.0.1:40005".parse().unwrap();
    let forgotten = netns.inside(|| sockets::connect_from(local, listening));
    let _accepted = listener.accept().unwrap();
    options::set(&forgotten, libc::TCP_REPAIR, 1);
    drop(forgotten);
    let _again = netns.inside(|| sockets::connect_from(local, listening));
    watch.wait_count(1, "a SYN again", |line| line.event == "retransmit");
    let log = watch.stop();
    let line = retries(&log.lines, "syn", (local, listening))[0];
    let since = line.since_last_s.unwrap();
    assert!(since < 0.5 && line.expected_s.unwrap() < since + 0.01, "{line}");
}

/// Sysctls are read again after a while: in a namespace that stays they may be set, and one that comes may get the inode of
/// one that has gone.
pub(super) fn sysctls_that_change_are_followed() {
    let netns = Netns::with(&[("ipv4.tcp_syn_retries", "4")]);
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    sockets::lose_all(&listener);
    let connect =
        || netns.inside(|| sockets::start_connect(sockets::unbound(listening), listening));
    let mut clients = Vec::new();
    let mut at_most = || {
        clients.push(connect());
        watch.wait_for("the first SYN again of each", |lines| {
            let first = |line: &&Line| line.event == "retransmit" && line.attempt == Some(1);
            let mut firsts: Vec<_> = lines.iter().filter(first).collect();
            (firsts.len() == clients.len()).then(|| firsts.pop()?.attempts_at_most)
        })
    };
    // With the linear timeouts that some kernels have before.
    let before = at_most();
    assert!(before >= Some(4), "{before:?}");
    netns.set("ipv4.tcp_syn_retries", "3").unwrap();
    let seen = std::iter::repeat_with(at_most).take(20);
    let as_before = seen.take_while(|most| *most == before).count();
    assert!(as_before < 20, "{before:?} all the time");
}

/// Client and server, without cookies, for every listener (`TFO_*` in `include/net/tcp.h`).
const FAST_OPEN: [(&str, &str); 1] = [("ipv4.tcp_fastopen", "1543")];

pub(super) fn fast_open_is_named_at_both_ends() {
    let netns = Netns::with(&FAST_OPEN);
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    let (client, mut server) = netns.inside(|| {
        let client = sockets::unbound(listening);
        client.send_to_with_flags(b"early", &listening.into(), libc::MSG_FASTOPEN).unwrap();
        (client, listener.accept().unwrap().0)
    });
    server.read_exact(&mut [0; 5]).unwrap();
    let ends = (server.peer_addr().unwrap(), listening);
    watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    drop((client, server));
    let log = watch.stop();
    for (local, remote) in [ends, turned(ends)] {
        let life = life(&log.lines, local, remote);
        let handshake = life.entered("ESTABLISHED").handshake.as_deref();
        assert_eq!(handshake, Some("fast_open"), "{life}");
    }
}

/// Since 6.13 the socket that fast open makes is known from its SYN on.
pub(super) fn a_syn_ack_of_fast_open_is_its_sockets() {
    let netns = Netns::with(&FAST_OPEN);
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    let client = netns.inside(|| sockets::unbound(listening));
    sockets::lose_syn_acks(&client);
    client.set_nonblocking(true).unwrap();
    netns
        .inside(|| client.send_to_with_flags(b"early", &listening.into(), libc::MSG_FASTOPEN))
        .unwrap();
    let (_server, connected) = listener.accept().unwrap();
    let ends = (listening, connected);
    watch.wait_for("two SYN+ACKs again", |lines| {
        let again = about(lines, "retransmit", ends).count();
        (again >= 2).then_some(())
    });
    let log = watch.stop();
    if !ACCEPTED_IN_SYN_RECV.is_there() {
        return;
    }
    let told = retries(&log.lines, "syn_ack", ends);
    let socket = life(&log.lines, listening, connected).lines[0].socket;
    for (line, attempt) in told.iter().zip(1..) {
        assert_eq!((line.attempt, line.socket), (Some(attempt), socket), "{line}");
        assert!(line.since_last_s.is_some() && line.process.is_some(), "{line}");
    }
}

/// `TCP_FASTOPEN_CONNECT`: the SYN is sent with the first write, some time after `connect()`.
pub(super) fn a_handshake_begins_with_the_syn_and_not_with_connect() {
    let netns = Netns::with(&FAST_OPEN);
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    let client = netns.inside(|| {
        let client = sockets::unbound(listening);
        options::set(&client, libc::TCP_FASTOPEN_CONNECT, 1);
        client.connect(&listening.into()).unwrap();
        client
    });
    let_pass(PAUSE);
    let mut client: TcpStream = client.into();
    client.write_all(b"early").unwrap();
    let (mut server, connected) = listener.accept().unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    sockets::close_first(server, client);
    let ends = (connected, listening);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let line = connection(&log.lines, ends);
    assert!(line.states_s["SYN_SENT"] >= PAUSE.as_secs_f64(), "{line}");
    assert!(line.handshake_s.unwrap() < PAUSE.as_secs_f64(), "{line}");
}

const PAUSE: Duration = Duration::from_millis(400);

/// The same, and the SYN is lost.
pub(super) fn a_late_syn_that_is_lost_is_counted_from_its_sending() {
    let netns = Netns::with(&FAST_OPEN);
    let watch = Watch::on(&netns);
    let (listener, listening) = listener(&netns);
    let mut client: TcpStream = netns.inside(|| {
        let client = sockets::unbound(listening);
        options::set(&client, libc::TCP_FASTOPEN_CONNECT, 1);
        client.connect(&listening.into()).unwrap();
        client.into()
    });
    sockets::lose_all(&listener);
    let_pass(PAUSE);
    client.set_nonblocking(true).unwrap();
    // It is sent later.
    drop(client.write(b"early"));
    watch.wait_count(1, "a SYN again", |line| line.event == "retransmit");
    sockets::lose_nothing(&listener);
    let (_server, connected) = listener.accept().unwrap();
    sockets::reset(client);
    let ends = (connected, listening);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    // The data of the SYN are retransmitted, too.
    let line = about(&log.lines, "retransmit", ends).next().unwrap();
    assert_eq!((line.kind.as_deref(), line.expected_s), (Some("syn"), Some(1.0)), "{line}");
    assert!((0.99..1.3).contains(&line.since_last_s.unwrap()), "{line}");
    let line = connection(&log.lines, ends);
    let delay = line.states_s["SYN_SENT"] - line.handshake_s.unwrap();
    assert!(delay >= PAUSE.as_secs_f64(), "{line}");
}
