//! Handshakes without a half-open connection: SYN cookies and fast open.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::harness::{
    kernel::ACCEPTED_IN_SYN_RECV,
    lives::{Life, life, lives},
    netns::Netns,
    sockets::{self, V4, V6, lose_acks, lose_nothing, reset, set_tcp_option},
    watch::Watch,
};

/// A listener and where it listens.
fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    let listening = listener.local_addr().unwrap();
    (listener, listening)
}

fn server_side(all: &[Life], listening: SocketAddr) -> Life {
    let accepted = |life: &&Life| life.lines[0].local == Some(listening.into());
    let connections = |life: &&Life| life.lines[0].remote.unwrap().port != 0;
    all.iter().filter(accepted).find(connections).expect("the server's side").clone()
}

/// The path of an accepted socket that was not a half-open connection before, from the listener on.
fn server_path(life: &Life) -> String {
    let path = life.path();
    if path.starts_with("LISTEN") {
        return path;
    }
    ACCEPTED_IN_SYN_RECV.is_lacking();
    format!("LISTEN {path}")
}

#[test]
fn with_syn_cookies_there_is_no_half_open_connection() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::with(&[("ipv4.tcp_syncookies", "2")]);
        let watch = Watch::on(&netns);
        let (deaf, unheard) = netns.inside(|| listener(address));
        lose_acks(&deaf);
        let _half_open = netns.inside(|| TcpStream::connect(unheard).unwrap());
        let (_listener, listening) = netns.inside(|| listener(address));
        let _client = netns.inside(|| TcpStream::connect(listening).unwrap());
        watch.wait_count(3, "both ends", |line| line.to == "ESTABLISHED");
        let log = watch.stop();
        let all = lives(&log.lines);
        let of_unheard = |life: &&Life| {
            let first = &life.lines[0];
            first.local == Some(unheard.into()) && first.remote.unwrap().port != 0
        };
        assert_eq!(all.iter().filter(of_unheard).count(), 0, "nothing exists until the ACK");
        let theirs = server_side(&all, listening);
        assert_eq!(server_path(&theirs), "LISTEN SYN_RECV ESTABLISHED");
        assert_eq!(
            theirs.entered("ESTABLISHED").handshake.as_deref(),
            Some("syn_cookie"),
            "{theirs}"
        );
        assert_eq!(theirs.left("SYN_RECV").in_state_s, None, "its beginning is unknown: {theirs}");
    }
}

/// Nothing but its round trip tells it from one by cookie: neither has a request socket with a timer.
#[test]
fn a_fast_open_without_data_is_no_syn_cookie() {
    needs_root!();
    // Client and server, without cookies, for every listener (TFO_* in include/net/tcp.h).
    let netns = Netns::with(&[("ipv4.tcp_fastopen", "3")]);
    let (listener, listening) = netns.inside(|| listener(V4));
    set_tcp_option(&listener, libc::TCP_FASTOPEN, 5);
    let open = |data: &[u8]| {
        let client = netns.inside(|| sockets::unbound(listening));
        client.send_to_with_flags(data, &listening.into(), libc::MSG_FASTOPEN).unwrap();
        (TcpStream::from(client), listener.accept().unwrap().0)
    };
    let (first, mut server) = open(b"x");
    server.read_exact(&mut [0]).unwrap();
    sockets::close_first(first, server);
    let watch = Watch::on(&netns);
    let (_client, _server) = open(b"");
    watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    let log = watch.stop();
    let mut lines = log.lines.iter().filter(|line| line.local == Some(listening.into()));
    let done = lines.rfind(|line| line.to == "ESTABLISHED").expect("the server's side");
    assert_ne!(done.handshake.as_deref(), Some("syn_cookie"), "{done}");
}

/// Both come from one port to one CPU, so that what the first leaves there would be found by the second.
#[test]
fn a_half_open_connection_after_one_by_cookie_says_what_ended_it() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_syncookies", "2")]);
    let watch = Watch::on(&netns);
    let (_listeners, listening, connected) = netns.inside(|| {
        let mut first_cpu = CpuSet::new();
        first_cpu.set(0);
        sched_setaffinity(None, &first_cpu).unwrap();
        let (by_cookie, to) = listener(V4);
        let client = TcpStream::connect(to).unwrap();
        let connected = client.local_addr().unwrap();
        let server = by_cookie.accept().unwrap();
        reset(client);
        drop(server);
        netns.set("ipv4.tcp_syncookies", "0").unwrap();
        let (half_open, listening) = listener(V4);
        lose_acks(&half_open);
        let client = sockets::connect_from(connected, listening);
        lose_nothing(&half_open);
        reset(client);
        ([by_cookie, half_open], listening, connected)
    });
    watch.wait_count(1, "the end", |line| line.is("SYN_RECV>CLOSED"));
    let theirs = life(&watch.stop().lines, listening, connected);
    let end = (theirs.path(), theirs.reason());
    assert_eq!(end, ("LISTEN SYN_RECV CLOSED".to_owned(), "reset_received"), "{theirs}");
}

#[test]
fn a_fast_open_connection_is_told_in_the_right_order() {
    needs_root!();
    // Client and server, without cookies, for every listener (TFO_* in include/net/tcp.h).
    let netns = Netns::with(&[("ipv4.tcp_fastopen", "1543")]);
    let watch = Watch::on(&netns);
    let (listener, listening) = netns.inside(|| listener(V4));
    let (client, mut server) = netns.inside(|| {
        let client = sockets::unbound(listening);
        client.send_to_with_flags(b"early", &listening.into(), libc::MSG_FASTOPEN).unwrap();
        (client, listener.accept().unwrap().0)
    });
    let connected = server.peer_addr().unwrap();
    server.write_all(b"answer").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    let mut client: TcpStream = client.into();
    client.read_exact(&mut [0; 6]).unwrap();
    sockets::close_first(client, server);
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let log = watch.stop();
    let theirs = life(&log.lines, listening, connected);
    let path = "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED";
    assert_eq!(server_path(&theirs), path);
    assert_eq!(theirs.entered("ESTABLISHED").handshake.as_deref(), Some("fast_open"), "{theirs}");
    assert_eq!(
        life(&log.lines, connected, listening).path(),
        "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT"
    );
}
