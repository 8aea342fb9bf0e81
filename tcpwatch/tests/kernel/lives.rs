//! Whole connections: every change, once and in order.

use std::{collections::BTreeSet, net::TcpListener};

use crate::harness::{
    line::Line,
    lives::{life, listener_life, lives},
    netns::{Netns, two_hosts},
    sockets::{self, Pair, V4, V6, half_close},
    watch::Watch,
};

const CLOSES_FIRST: &str = "ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT";
const CLOSES_LAST: &str = "ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED";

fn ends_in(state: &'static str) -> impl Fn(&Line) -> bool {
    move |line| line.is_state() && line.to == state
}

/// No change is reported twice, and lines are in the order of time.
fn is_told_once_and_in_order(lines: &[Line]) {
    let mut told = BTreeSet::new();
    for line in lines.iter().filter(|line| line.is_state()) {
        let ends = line.ends();
        let key = (line.socket, ends.0.port, ends.1.port, line.change());
        assert!(told.insert(key), "reported twice: {line}");
    }
    let times: Vec<u64> = lines.iter().map(|line| line.mono_ns).collect();
    assert!(times.is_sorted(), "in the order of time: {times:?}");
}

fn whole_life(address: &str, server_first: bool) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (client, server) = netns.inside(|| {
        let listener = TcpListener::bind(address).unwrap();
        let pair = Pair::over(&listener);
        let ends = pair.ends();
        if server_first {
            pair.close_server_first();
        } else {
            pair.close_client_first();
        }
        ends
    });
    watch.wait_count(1, "TIME_WAIT", ends_in("TIME_WAIT"));
    watch.wait_count(1, "the end of the other side", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();

    let (at_client, at_server) =
        if server_first { (CLOSES_LAST, CLOSES_FIRST) } else { (CLOSES_FIRST, CLOSES_LAST) };
    let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
    assert_eq!(ours.path(), format!("CLOSED SYN_SENT {at_client}"));
    assert_eq!(theirs.path(), format!("LISTEN SYN_RECV {at_server}"));
    assert_eq!((ours.direction(), theirs.direction()), (Some("outgoing"), Some("incoming")));
    assert!(ours.is_complete() && theirs.is_complete(), "{ours}{theirs}");
    let closed_last = if server_first { &ours } else { &theirs };
    assert_eq!(closed_last.reason(), "normal");
    assert_eq!(listener_life(&log.lines, server).path(), "CLOSED LISTEN CLOSED");

    is_told_once_and_in_order(&log.lines);
    let family = if client.is_ipv4() { "ipv4" } else { "ipv6" };
    assert!(log.lines.iter().all(|line| line.family == family && line.netns == netns.inode));
    assert_eq!(lives(&log.lines).len(), 3, "two ends and a listener");
    assert_eq!(log.summary.open, 1, "the socket in TIME_WAIT");
    assert_eq!(log.summary.inferred, 0);
}

#[test]
fn a_client_that_closes_first_passes_every_state_once_over_ipv4() {
    needs_root!();
    whole_life(V4, false);
}

#[test]
fn a_client_that_closes_first_passes_every_state_once_over_ipv6() {
    needs_root!();
    whole_life(V6, false);
}

#[test]
fn a_server_that_closes_first_passes_every_state_once_over_ipv4() {
    needs_root!();
    whole_life(V4, true);
}

#[test]
fn a_server_that_closes_first_passes_every_state_once_over_ipv6() {
    needs_root!();
    whole_life(V6, true);
}

#[test]
fn a_half_closed_connection_stays_in_fin_wait_2_until_the_peer_closes() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (client, server) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let pair = Pair::over(&listener);
        half_close(&pair.client);
        let ends = pair.ends();
        sockets::close_first(pair.server, pair.client);
        ends
    });
    watch.wait_count(1, "TIME_WAIT", ends_in("TIME_WAIT"));
    let log = watch.stop();
    let path = format!("CLOSED SYN_SENT {CLOSES_FIRST}");
    assert_eq!(life(&log.lines, client, server).path(), path);
}

#[test]
fn a_socket_connected_to_itself_opens_and_closes_from_both_sides_at_once() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let address = "127.0.0.1:11111".parse().unwrap();
    netns.inside(|| drop(sockets::connect_from(address, address)));
    watch.wait_count(1, "TIME_WAIT", ends_in("TIME_WAIT"));
    let log = watch.stop();
    let own = life(&log.lines, address, address);
    let path = "CLOSED SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT_1 CLOSING TIME_WAIT";
    assert_eq!(own.path(), path);
    assert_eq!(own.direction(), Some("both"));
}

#[test]
fn an_ipv4_connection_through_ipv6_sockets_is_told_as_ipv4() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (client, server) = netns.inside(|| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mapped = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
        let client = sockets::unbound(mapped);
        client.connect(&mapped.into()).unwrap();
        let pair = Pair { client: client.into(), server: listener.accept().unwrap().0 };
        let ends = pair.ends();
        assert!(ends.0.is_ipv6(), "as the application sees it");
        pair.close_client_first();
        ends
    });
    watch.wait_count(1, "TIME_WAIT", ends_in("TIME_WAIT"));
    watch.wait_count(1, "the end of the other side", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
    assert_eq!(ours.path(), format!("CLOSED SYN_SENT {CLOSES_FIRST}"));
    assert_eq!(theirs.path(), format!("LISTEN SYN_RECV {CLOSES_LAST}"));
    for line in ours.lines.iter().chain(&theirs.lines) {
        assert_eq!(line.family, "ipv4", "{line}");
        assert!(line.local.unwrap().addr.is_ipv4(), "{line}");
    }
}

#[test]
fn the_cookie_told_is_the_number_the_kernel_gives_the_socket() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (ends, cookies) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let pair = Pair::over(&listener);
        let cookie = |stream| socket2::SockRef::from(stream).cookie().unwrap();
        let cookies = (cookie(&pair.client), cookie(&pair.server));
        let ends = pair.ends();
        pair.close_client_first();
        (ends, cookies)
    });
    watch.wait_count(1, "TIME_WAIT", ends_in("TIME_WAIT"));
    let log = watch.stop();
    let told = |local, remote| life(&log.lines, local, remote).lines.last().unwrap().socket;
    assert_eq!(told(ends.0, ends.1), Some(cookies.0));
    assert_eq!(told(ends.1, ends.0), Some(cookies.1));
}

#[test]
fn each_end_of_a_connection_between_two_hosts_is_told_in_its_own_namespace() {
    needs_root!();
    let (left, right) = two_hosts();
    let watch = Watch::start(&["--port", "11117"]);
    let listener = right.inside(|| TcpListener::bind("10.9.0.2:11117").unwrap());
    let client = left.inside(|| std::net::TcpStream::connect("10.9.0.2:11117").unwrap());
    let pair = Pair { client, server: listener.accept().unwrap().0 };
    let (client, server) = pair.ends();
    pair.close_server_first();
    watch.wait_count(1, "TIME_WAIT", ends_in("TIME_WAIT"));
    watch.wait_count(1, "the end of the other side", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
    assert_eq!(ours.path(), format!("CLOSED SYN_SENT {CLOSES_LAST}"));
    assert_eq!(theirs.path(), format!("LISTEN SYN_RECV {CLOSES_FIRST}"));
    assert!(ours.lines.iter().all(|line| line.netns == left.inode), "{ours}");
    assert!(theirs.lines.iter().all(|line| line.netns == right.inode), "{theirs}");
}
