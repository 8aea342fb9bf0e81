//! The reason of a connection's end, from the kernel's error.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use crate::harness::{
    lives::{Life, life, lives},
    netns::Netns,
    sockets::{self, Pair, V4, V6},
    watch::Watch,
};

/// The only connection in a namespace where `act` runs, after it has ended.
fn only_life(netns: &Netns, act: impl FnOnce() + Send) -> Life {
    let watch = Watch::on(netns);
    netns.inside(act);
    watch.wait_for("the end", |lines| {
        lines.iter().any(|line| line.to == "CLOSED" && line.from != "LISTEN").then_some(())
    });
    let log = watch.stop();
    let mut lives = lives(&log.lines);
    lives.retain(|life| !life.lines[0].is("CLOSED>LISTEN"));
    assert_eq!(lives.len(), 1, "one life: {lives:?}");
    lives.remove(0)
}

fn free_port(address: &str) -> SocketAddr {
    TcpListener::bind(address).unwrap().local_addr().unwrap()
}

#[test]
fn a_connect_that_is_answered_with_a_reset_ends_refused() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let nobody = netns.inside(|| free_port(address));
        let life = only_life(&netns, || drop(TcpStream::connect(nobody).unwrap_err()));
        assert_eq!((life.path().as_str(), life.reason()), ("CLOSED SYN_SENT CLOSED", "refused"));
        assert!(life.lines.iter().all(|line| line.local.unwrap().port != 0), "{life}");
    }
}

#[test]
fn a_connect_that_the_application_gives_up_ends_normal() {
    needs_root!();
    let netns = Netns::new();
    let life = only_life(&netns, || {
        let deaf = TcpListener::bind(V4).unwrap();
        sockets::lose_all(&deaf);
        let address = deaf.local_addr().unwrap();
        drop(sockets::start_connect(sockets::unbound(address), address));
    });
    assert_eq!((life.path().as_str(), life.reason()), ("CLOSED SYN_SENT CLOSED", "normal"));
}

#[test]
fn a_connect_that_nobody_answers_ends_timed_out_when_the_sysctls_say() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_syn_retries", "1")]);
    // Since 6.5; older kernels had none.
    drop(netns.set("ipv4.tcp_syn_linear_timeouts", "0"));
    let life = only_life(&netns, || {
        let deaf = TcpListener::bind(V4).unwrap();
        sockets::lose_all(&deaf);
        let error = TcpStream::connect(deaf.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT), "{error}");
    });
    assert_eq!((life.path().as_str(), life.reason()), ("CLOSED SYN_SENT CLOSED", "timed_out"));
    let took = life.seconds_in("SYN_SENT");
    println!("measured: connect timed out after {took:.3} s");
    assert!((2.996..3.4).contains(&took), "1 s and 2 s: {took}");
}

#[test]
fn a_connect_to_where_no_route_leads_leaves_no_failure_behind() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    netns.inside(|| drop(TcpStream::connect("192.0.2.1:9").unwrap_err()));
    netns.inside(|| drop(TcpListener::bind(V4).unwrap()));
    watch.wait_count(1, "the listener's end", |line| line.is("LISTEN>CLOSED"));
    let log = watch.stop();
    for life in lives(&log.lines) {
        assert!(["normal", "unknown", "unreachable"].contains(&life.reason()), "{life}");
    }
    assert_eq!(log.summary.open, 0);
}

#[test]
fn a_reset_is_sent_on_one_side_and_received_on_the_other() {
    needs_root!();
    for client_resets in [true, false] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (client, server) = netns.inside(|| {
            let listener = TcpListener::bind(V4).unwrap();
            let Pair { client, server } = Pair::over(&listener);
            let ends = (client.local_addr().unwrap(), server.local_addr().unwrap());
            let (first, second) = if client_resets { (client, server) } else { (server, client) };
            sockets::reset(first);
            drop(second);
            ends
        });
        watch.wait_count(2, "both ends", |line| line.is("ESTABLISHED>CLOSED"));
        let log = watch.stop();
        let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
        assert_eq!(ours.path(), "CLOSED SYN_SENT ESTABLISHED CLOSED");
        assert_eq!(theirs.path(), "LISTEN SYN_RECV ESTABLISHED CLOSED");
        let reasons = (ours.reason(), theirs.reason());
        let expected = ("reset_sent", "reset_received");
        assert_eq!(reasons, if client_resets { expected } else { (expected.1, expected.0) });
        assert_eq!(log.summary.open, 0);
    }
}

#[test]
fn a_close_with_unread_data_sends_a_reset() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (client, server) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let mut pair = Pair::over(&listener);
        std::io::Write::write_all(&mut pair.client, b"unread").unwrap();
        let ends = pair.ends();
        pair.server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(pair.server.peek(&mut [0]).unwrap(), 1, "it has come");
        drop(pair.server);
        ends
    });
    watch.wait_count(2, "both ends", |line| line.is("ESTABLISHED>CLOSED"));
    let log = watch.stop();
    assert_eq!(life(&log.lines, server, client).reason(), "reset_sent");
    assert_eq!(life(&log.lines, client, server).reason(), "reset_received");
}

#[test]
fn a_socket_that_an_administrator_destroys_ends_killed() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let pair = netns.inside(|| Pair::over(&listener));
    let (client, server) = pair.ends();
    netns.run(&format!("ss --kill --tcp state established sport = {}", client.port()));
    watch.wait_count(2, "both ends", |line| line.is("ESTABLISHED>CLOSED"));
    let log = watch.stop();
    assert_eq!(life(&log.lines, client, server).reason(), "killed");
    assert_eq!(life(&log.lines, server, client).reason(), "reset_received");
}
