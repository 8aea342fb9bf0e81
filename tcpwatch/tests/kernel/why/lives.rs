//! The line about a whole connection.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use crate::harness::{
    connections::{adds_up, await_connection, connection, explains_resets, same, turned},
    info::settled_info,
    line::Line,
    lives::life,
    netns::Netns,
    sockets::{self, Pair, V4, V6, half_close, lose_all, lose_nothing},
    watch::{Log, Watch},
};

use super::SOON;

type Ends = (SocketAddr, SocketAddr);

fn pair(netns: &Netns, address: &str) -> (Pair, Ends) {
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
    let ends = pair.ends();
    (pair, ends)
}

/// Shortens the minute in TIME_WAIT and waits until both sides of a connection were reported.
fn end(watch: Watch, netns: &Netns, ends: Ends) -> Log {
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    netns.run("ss --kill --tcp state time-wait");
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    watch.stop()
}

/// It ended this way, and was closed by that side.
fn ended(line: &Line, end: &str, closed_by: &str) {
    assert_eq!(line.end.as_deref(), Some(end), "{line}");
    assert_eq!(line.closed_by.as_deref(), Some(closed_by), "{line}");
    assert_eq!(line.failed, end != "normal", "{line}");
}

/// Sends this many bytes each way at the same time.
fn exchange(Pair { client, server }: &Pair, up: usize, down: usize) {
    let send = |mut stream: &TcpStream, count| stream.write_all(&vec![7; count]).unwrap();
    let hear = |mut stream: &TcpStream, count| stream.read_exact(&mut vec![0; count]).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| send(client, up));
        scope.spawn(|| send(server, down));
        scope.spawn(|| hear(client, down));
        hear(server, up);
    });
}

#[test]
fn bytes_are_counted_exactly_each_way_whoever_closes_first() {
    needs_root!();
    for (up, down, address, client_first) in [
        (0, 0, V4, true),
        (0, 0, V4, false),
        (1, 0, V6, true),
        (5, 1500, V4, false),
        (1 << 20, 1 << 20, V4, true),
        (1 << 20, 1 << 20, V6, false),
    ] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (pair, ends) = pair(&netns, address);
        exchange(&pair, up, down);
        let (up, down) = (Some(u64::try_from(up).unwrap()), Some(u64::try_from(down).unwrap()));
        if client_first {
            pair.close_client_first();
        } else {
            pair.close_server_first();
        }
        let log = end(watch, &netns, ends);
        let (client, server) = (connection(&log.lines, ends), connection(&log.lines, turned(ends)));
        assert_eq!((client.bytes_sent, client.bytes_received), (up, down), "{client}");
        assert_eq!((server.bytes_sent, server.bytes_received), (down, up), "{server}");
        let (first, last) = if client_first { (client, server) } else { (server, client) };
        ended(first, "normal", "local");
        ended(last, "normal", "remote");
        for (line, setup) in [(client, "SYN_SENT"), (server, "SYN_RECV")] {
            adds_up(line);
            assert!(line.opened.is_some(), "{line}");
            same(line.handshake_s, line.states_s[setup]);
            assert_eq!(line.process.as_ref().unwrap().pid, std::process::id(), "{line}");
        }
        assert!(first.states_s.contains_key("TIME_WAIT"), "{first}");
        assert_eq!(client.direction.as_deref(), Some("outgoing"));
        assert_eq!(server.direction.as_deref(), Some("incoming"));
    }
}

#[test]
fn a_close_from_both_sides_at_once_is_told_by_the_side_that_saw_it() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (Pair { client, server }, ends) = pair(&netns, V4);
    lose_all(&server);
    half_close(&client);
    half_close(&server);
    watch.wait_count(1, "CLOSING", |line| line.to == "CLOSING");
    lose_nothing(&server);
    watch.wait_count(2, "both in TIME_WAIT", |line| line.to == "TIME_WAIT");
    let log = end(watch, &netns, ends);
    ended(connection(&log.lines, ends), "normal", "both");
    // The FIN that the server finally receives acknowledges its own.
    ended(connection(&log.lines, turned(ends)), "normal", "local");
    for ends in [ends, turned(ends)] {
        adds_up(connection(&log.lines, ends));
    }
}

#[test]
fn what_was_measured_and_repeated_is_what_the_kernel_says_just_before_the_end() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns, V4);
    exchange(&pair, 100_000, 50_000);
    lose_all(&pair.server);
    pair.client.write_all(b"again").unwrap();
    watch.wait_count(2, "a probe and a timeout", |line| line.event == "retransmit");
    lose_nothing(&pair.server);
    pair.server.read_exact(&mut [0; 5]).unwrap();
    exchange(&pair, 1, 1);
    let (at_client, at_server) = (settled_info(&netns, ends), settled_info(&netns, turned(ends)));
    assert!(at_client.retransmits >= 2, "{at_client:?}");
    // A reset is not a measurement.
    sockets::reset(pair.client);
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    for (ends, info) in [(ends, at_client), (turned(ends), at_server)] {
        let line = connection(&log.lines, ends);
        let near = |told: Option<f64>, said: f64| {
            // `ss` shows microseconds.
            assert!((told.unwrap() - said).abs() < 2e-6, "{line}: {info:?}");
        };
        near(line.srtt_s, info.srtt);
        near(line.min_rtt_s, info.min_rtt);
        assert_eq!(line.retransmits, Some(info.retransmits), "{line}");
    }
    let seen = connection(&log.lines, ends).retries["data"];
    assert_eq!(seen, at_client.retransmits, "each was reported");
}

#[test]
fn a_connection_that_is_older_than_tcpwatch_is_told_at_its_end() {
    needs_root!();
    for client_first in [true, false] {
        let netns = Netns::new();
        let (pair, ends) = pair(&netns, V4);
        exchange(&pair, 10, 20);
        let watch = Watch::on(&netns);
        if client_first {
            pair.close_client_first();
        } else {
            pair.close_server_first();
        }
        let log = end(watch, &netns, ends);
        let (client, server) = (connection(&log.lines, ends), connection(&log.lines, turned(ends)));
        let (first, last) = if client_first { (client, server) } else { (server, client) };
        ended(first, "normal", "local");
        ended(last, "normal", "remote");
        assert_eq!((client.bytes_sent, client.bytes_received), (Some(10), Some(20)), "{client}");
        assert_eq!((server.bytes_sent, server.bytes_received), (Some(20), Some(10)), "{server}");
        for line in [client, server] {
            assert_eq!((&line.opened, line.opened_mono_ns), (&None, None), "{line}");
            assert_eq!((line.lasted_s, line.handshake_s), (None, None), "{line}");
            assert!(!line.states_s.contains_key("ESTABLISHED"), "its beginning is unknown: {line}");
        }
    }
}

#[test]
fn a_peer_that_never_closes_leaves_a_connection_half_closed() {
    needs_root!();
    a_peer_that_never_closes("1", 1);
}

/// FIN_WAIT_2 lasts this many seconds. With a `tcp_fin_timeout` of more than a minute the full socket waits for the
/// excess over a minute, and then a mini-socket as long again.
pub(super) fn a_peer_that_never_closes(fin_timeout: &str, lasts: u32) {
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", fin_timeout)]);
    let watch = Watch::on(&netns);
    let (Pair { client, server: _server }, ends) = pair(&netns, V4);
    drop(client);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let line = connection(&log.lines, ends);
    ended(line, "half_closed", "local");
    adds_up(line);
    let told = life(&log.lines, ends.0, ends.1);
    assert_eq!(told.reason(), "timer");
    assert!(told.path().ends_with("FIN_WAIT_1 FIN_WAIT_2 CLOSED"), "{told}");
    let waited = line.states_s["FIN_WAIT_2"];
    assert!((0.0..0.5).contains(&(waited - f64::from(lasts) + 0.01)), "{waited} s: {line}");
    assert_eq!((line.bytes_sent, line.bytes_received), (Some(0), Some(0)), "{line}");
}

#[test]
fn a_reset_in_fin_wait_2_is_the_end_of_a_connection_that_was_closed() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (Pair { client, mut server }, ends) = pair(&netns, V4);
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
    sockets::reset(server);
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    ended(connection(&log.lines, ends), "reset_received", "local");
    ended(connection(&log.lines, turned(ends)), "reset_sent", "remote");
}

#[test]
fn a_connection_that_an_administrator_destroys_is_told_on_both_sides() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (_pair, ends) = pair(&netns, V4);
    netns.run(&format!("ss --kill --tcp state established sport = {}", ends.0.port()));
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    let killed = connection(&log.lines, ends);
    assert_eq!((killed.end.as_deref(), killed.failed), (Some("killed"), true), "{killed}");
    ended(connection(&log.lines, turned(ends)), "reset_received", "reset");
}

#[test]
fn data_for_a_mini_socket_in_fin_wait_2_are_shown_as_late() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (Pair { client, mut server }, ends) = pair(&netns, address);
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0, "the client's FIN");
        watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
        server.write_all(b"late").unwrap();
        await_connection(&watch, SOON, ends);
        let log = watch.stop();
        let ending = log.lines.iter().find(|line| line.is("FIN_WAIT_2>CLOSED")).unwrap();
        assert_eq!(ending.reason.as_deref(), Some("reset_sent"), "{ending}");
        assert_eq!(ending.late_data, explains_resets().then_some(true), "{ending}");
    }
}
