//! Each way in which a connect fails has its own word; a success has none.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::harness::{
    churn,
    connections::{await_connection, connection, explains_resets, sees},
    line::Line,
    netns::{Netns, two_hosts},
    sockets::{self, V4, V6},
    watch::{Log, Watch},
};

use super::SOON;

const MANY: usize = 1000;

fn connections(lines: &[Line]) -> Vec<&Line> {
    lines.iter().filter(|line| line.event == "connection").collect()
}

fn nobody(address: &str) -> SocketAddr {
    TcpListener::bind(address).unwrap().local_addr().unwrap()
}

/// The one connection of a log.
fn only(log: &Log) -> &Line {
    let [line] = connections(&log.lines)[..] else { panic!("one connection: {:?}", log.lines) };
    line
}

#[test]
fn a_refused_connect_is_told_with_its_reset_on_both_sides() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let to = netns.inside(|| {
            let to = nobody(address);
            drop(TcpStream::connect(to).unwrap_err());
            to
        });
        watch.wait_count(1, "the connection", |line| line.event == "connection");
        let log = watch.stop();
        let line = only(&log);
        assert_eq!(line.end.as_deref(), Some("refused"), "{line}");
        assert!(line.failed && line.closed_by.as_deref() == Some("reset"), "{line}");
        assert_eq!(line.states_s.keys().collect::<Vec<_>>(), ["SYN_SENT"], "{line}");
        assert_eq!(line.remote, Some(to.into()), "{line}");

        reset_of_nobody(&netns, &log.lines, line);
    }
}

#[test]
fn a_connect_that_finds_no_free_port_is_told_as_that() {
    needs_root!();
    let netns = Netns::new();
    netns.inside(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40001 40001").unwrap();
    });
    let watch = Watch::on(&netns);
    let asks_for_a_port = Watch::with(&netns, &["--local-port", "40001"]);
    netns.inside(|| {
        let listener = TcpListener::bind("127.0.0.1:50000").unwrap();
        let taken = sockets::Pair::over(&listener);
        let error = TcpStream::connect(listener.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
        taken.close_client_first();
    });
    let end = |lines: &[Line]| {
        let mut ends = lines.iter().filter(|line| line.is("SYN_SENT>CLOSED"));
        ends.next().map(|line| line.reason.clone())
    };
    let reason = watch.wait_for("the end of the second connect", end);
    assert_eq!(reason.as_deref(), Some("no_port"));
    let log = watch.stop();
    let failed: Vec<_> = connections(&log.lines).into_iter().filter(|line| line.failed).collect();
    let [line] = failed[..] else { panic!("one failed: {failed:?}") };
    assert_eq!(line.end.as_deref(), Some("no_port"), "{line}");
    // It never had the port of the filter.
    let log = asks_for_a_port.stop();
    assert!(!log.lines.iter().any(|line| line.is("SYN_SENT>CLOSED")), "{:?}", log.lines);
}

/// A reset is sent without a socket and received by the socket whose end is `refused`.
fn reset_of_nobody(netns: &Netns, lines: &[Line], refused: &Line) {
    let (local, remote) = refused.ends();
    let resets: Vec<_> = lines.iter().filter(|line| line.event == "reset").collect();
    let (sent, received) = match resets[..] {
        [sent, received] => (Some(sent), received),
        [received] if !explains_resets() => (None, received),
        _ => panic!("two sides of a reset: {resets:?}"),
    };
    if let Some(sent) = sent {
        assert_eq!(sent.direction.as_deref(), Some("sent"), "{sent}");
        assert_eq!((sent.socket, sent.state.as_str()), (None, ""), "{sent}");
        assert_eq!(sent.why.as_deref(), Some("no_socket"), "{sent}");
        assert_eq!(sent.ends(), (remote, local), "{sent}");
        assert_eq!(sent.netns, netns.inode, "{sent}");
        assert!(sent.process.is_none(), "{sent}");
    }
    assert_eq!(received.direction.as_deref(), Some("received"), "{received}");
    assert_eq!((received.socket, received.state.as_str()), (refused.socket, "SYN_SENT"));
    assert_eq!(received.ends(), (local, remote), "{received}");
    assert_eq!(received.process.as_ref().unwrap().pid, std::process::id(), "{received}");
}

#[test]
fn every_one_of_a_thousand_refused_connects_is_told() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--lives"]);
    netns.inside(|| {
        let to = nobody(V4);
        for _ in 0..MANY {
            drop(TcpStream::connect(to).unwrap_err());
        }
    });
    watch.wait_count(MANY, "each connection", |line| line.event == "connection");
    let log = watch.stop();
    assert_eq!(log.lines.len(), MANY, "nothing else");
    for line in &log.lines {
        assert_eq!((line.end.as_deref(), line.failed), (Some("refused"), true), "{line}");
    }
}

#[test]
fn no_one_of_a_thousand_connections_that_went_well_is_told_to_have_failed() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let failures = Watch::with(&netns, &["--failed"]);
    churn::connections(&netns, MANY);
    watch.wait_count(MANY, "the last change of each", |line| line.is("LAST_ACK>CLOSED"));
    // Shortens a minute.
    netns.run("ss --kill --tcp state time-wait");
    watch.wait_count(2 * MANY, "both sides of each", |line| line.event == "connection");
    let log = watch.stop();
    let told = connections(&log.lines);
    assert_eq!(told.len(), 2 * MANY, "each once");
    let mut by_local = 0;
    for line in told {
        assert_eq!((line.end.as_deref(), line.failed), (Some("normal"), false), "{line}");
        assert_eq!((line.bytes_sent, line.bytes_received), (Some(0), Some(0)), "{line}");
        assert_eq!((line.retransmits, line.retries.len()), (Some(0), 0), "{line}");
        by_local += usize::from(line.closed_by.as_deref() == Some("local"));
    }
    assert_eq!(by_local, MANY, "the clients closed first");

    // A failure after them is the first that is reported.
    netns.inside(|| drop(TcpStream::connect(nobody(V4)).unwrap_err()));
    failures.wait_count(1, "a failure", |_| true);
    let log = failures.stop();
    assert_eq!((log.lines.len(), only(&log).end.as_deref()), (1, Some("refused")));
}

#[test]
fn a_connect_that_the_application_gives_up_is_canceled() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    netns.inside(|| {
        let deaf = TcpListener::bind(V4).unwrap();
        sockets::lose_all(&deaf);
        let to = deaf.local_addr().unwrap();
        drop(sockets::start_connect(sockets::unbound(to), to));
    });
    watch.wait_count(1, "the connection", |line| line.event == "connection");
    let log = watch.stop();
    let line = only(&log);
    assert_eq!((line.end.as_deref(), line.failed), (Some("canceled"), false), "{line}");
    assert_eq!((line.closed_by.as_deref(), line.handshake_s), (None, None), "{line}");
}

/// Connects from the left host; the error is the network's.
fn is_unreachable(left: &Netns, to: SocketAddr) {
    let watch = Watch::on(left);
    let client = left.inside(|| sockets::start_connect(sockets::unbound(to), to));
    let local = client.local_addr().unwrap().as_socket().unwrap();
    await_connection(&watch, SOON, (local, to));
    let log = watch.stop();
    let line = connection(&log.lines, (local, to));
    assert_eq!((line.end.as_deref(), line.failed), (Some("unreachable"), true), "{line}");
    assert_eq!(line.closed_by, None, "{line}");
    sees(&log.lines, (local, to), libc::EHOSTUNREACH);
}

#[test]
fn a_connect_that_a_router_answers_is_unreachable() {
    needs_root!();
    let (left, right) = two_hosts();
    left.run("ip route add 10.9.1.0/24 via 10.9.0.2");
    right.set("ipv4.ip_forward", "1").unwrap();
    right.run("ip route add unreachable 10.9.1.0/24");
    is_unreachable(&left, "10.9.1.1:80".parse().unwrap());
}

/// Takes three seconds: the kernel sends three ARP requests for the address.
pub(super) fn a_host_that_does_not_answer_on_its_link_is_unreachable() {
    let (left, _right) = two_hosts();
    is_unreachable(&left, "10.9.0.77:80".parse().unwrap());
}
