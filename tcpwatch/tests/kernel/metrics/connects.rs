//! Connect attempts: successes, failures by reason, and what does not count as a failure.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use super::{REASONS, begin, counted, failed_once, failure};
use crate::harness::{
    churn,
    exporter::Samples,
    kernel::RESETS_EXPLAINED,
    netns::{Netns, two_hosts},
    segment::{RST, SYN, Segment, Wire},
    side_by_side,
    sockets::{self, Pair, V4, lose_all},
};

/// Connections of the scenario in which none fails.
const MANY: usize = 1000;
const TIME_WAIT_ENDS: &str = "state_transitions_total{from=\"time_wait\",to=\"closed\"}";

#[test]
fn a_thousand_short_connects_are_a_thousand_successes_and_no_failure() {
    needs_root!();
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        churn::connections(&netns, MANY);
        // A FIN_WAIT_2 that became TIME_WAIT without an event is counted when TIME_WAIT ends.
        drop(netns);
        exporter.wait_for(&before, TIME_WAIT_ENDS, 1000)
    });
    let many = 1000;
    for reason in REASONS {
        assert_eq!(grown.count(&failure(reason)), 0, "{reason}");
    }
    for series in [
        "connects_total",
        "accepts_total",
        "connect_duration_seconds_count",
        "connect_duration_seconds_bucket{le=\"1\"}",
        "connect_syn_attempts_bucket{le=\"1\"}",
        "connect_syn_attempts_count",
        "connections_closed_total{initiator=\"local\"}",
        "connections_closed_total{initiator=\"remote\"}",
        "connection_ends_total{reason=\"normal\"}",
        "state_duration_seconds_count{state=\"syn_recv\"}",
        "state_duration_seconds_count{state=\"fin_wait_2\"}",
        "state_duration_seconds_count{state=\"time_wait\"}",
    ] {
        assert_eq!(grown.count(series), many, "{series}");
    }
    assert_eq!(grown.count("state_duration_seconds_count{state=\"established\"}"), 2 * many);
    let both = [
        "CLOSED>SYN_SENT",
        "SYN_SENT>ESTABLISHED",
        "LISTEN>SYN_RECV",
        "SYN_RECV>ESTABLISHED",
        "ESTABLISHED>FIN_WAIT_1",
        "FIN_WAIT_1>FIN_WAIT_2",
        "FIN_WAIT_2>TIME_WAIT",
        "ESTABLISHED>CLOSE_WAIT",
        "CLOSE_WAIT>LAST_ACK",
        "LAST_ACK>CLOSED",
        "TIME_WAIT>CLOSED",
    ];
    let once = [("CLOSED>LISTEN", 1), ("LISTEN>CLOSED", 1)];
    let expected = both.map(|change| (change, many)).into_iter().chain(once);
    let expected: BTreeMap<String, i64> =
        expected.map(|(change, count)| (change.to_owned(), count)).collect();
    assert_eq!(grown.changes(), expected);
}

/// Addresses from which connections are made simultaneously.
const AT_ONCE: u8 = 4;

/// On all CPUs, with TIME_WAIT sockets whose memory is reused at once.
#[test]
fn connections_on_all_cpus_at_once_are_counted_one_by_one() {
    needs_root!();
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        thread::scope(|scope| {
            for host in 1..=AT_ONCE {
                let netns = &netns;
                scope.spawn(move || {
                    netns.inside(|| {
                        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
                        let there = listener.local_addr().unwrap();
                        for _ in 0..MANY {
                            let client = sockets::bound(([127, 0, 0, host], 0).into());
                            client.connect(&there.into()).unwrap();
                            let server = listener.accept().unwrap().0;
                            Pair { client: client.into(), server }.close_client_first();
                        }
                    });
                });
            }
        });
        drop(netns);
        exporter.wait_for(&before, TIME_WAIT_ENDS, 4000)
    });
    for change in ["CLOSED>SYN_SENT", "LISTEN>SYN_RECV", "FIN_WAIT_2>TIME_WAIT", "LAST_ACK>CLOSED"]
    {
        assert_eq!(grown.changes().get(change), Some(&4000), "{change}");
    }
    assert_eq!(grown.changes().get("FIN_WAIT_2>CLOSED"), None);
    assert_eq!(grown.count("state_duration_seconds_count{state=\"time_wait\"}"), 4000);
    assert_eq!(grown.count("sockets_untimed_total"), 0);
}

#[test]
fn a_connect_that_fails_is_counted_under_its_reason_and_one_that_is_given_up_is_not() {
    needs_root!();
    side_by_side(&[
        ("refused", refused),
        ("timed_out", timed_out),
        ("unreachable", unreachable),
        ("reset", reset),
        ("no_port", no_port),
        ("canceled", canceled),
    ]);
}

fn nobody() -> SocketAddr {
    TcpListener::bind(V4).unwrap().local_addr().unwrap()
}

/// The increments when a socket that tried to connect from `netns` has closed.
fn after(netns: &Netns, act: impl Fn() + Send + Sync) -> Samples {
    counted(|| {
        let (exporter, before) = begin(netns);
        netns.inside(&act);
        exporter.wait_for(&before, "connect_syn_attempts_count", 1)
    })
}

fn refused() {
    let netns = Netns::new();
    let nobody = netns.inside(nobody);
    let grown = after(&netns, || drop(TcpStream::connect(nobody).unwrap_err()));
    failed_once(&grown, "refused");
    // It is sent without a socket.
    assert_eq!(grown.count("resets_sent_total"), i64::from(RESETS_EXPLAINED.is_there()));
    assert_eq!(grown.count("resets_received_total"), 1);
}

fn timed_out() {
    let netns = Netns::with(&[("ipv4.tcp_syn_retries", "1")]);
    // Since 6.5; older kernels had none.
    drop(netns.set("ipv4.tcp_syn_linear_timeouts", "0"));
    let grown = after(&netns, || {
        let deaf = TcpListener::bind(V4).unwrap();
        lose_all(&deaf);
        drop(TcpStream::connect(deaf.local_addr().unwrap()).unwrap_err());
    });
    failed_once(&grown, "timed_out");
    assert_eq!(grown.count("retransmits_total{kind=\"syn\"}"), 1);
    assert_eq!(grown.count("connect_syn_attempts_bucket{le=\"1\"}"), 0);
    assert_eq!(grown.count("connect_syn_attempts_bucket{le=\"2\"}"), 1);
    assert_eq!(grown.count("connect_syn_attempts_sum"), 2);
    assert_eq!(grown.stays("syn_sent", ("1", "5")), 1, "1 s and 2 s");
}

fn unreachable() {
    let (left, right) = two_hosts();
    left.run("ip route add 10.9.1.0/24 via 10.9.0.2");
    right.set("ipv4.ip_forward", "1").unwrap();
    right.run("ip route add unreachable 10.9.1.0/24");
    let grown = after(&left, || drop(TcpStream::connect("10.9.1.1:80").unwrap_err()));
    failed_once(&grown, "unreachable");
}

/// A SYN crosses the client's, followed by a reset.
fn reset() {
    let netns = Netns::new();
    let grown = after(&netns, || {
        let deaf = TcpListener::bind(V4).unwrap();
        lose_all(&deaf);
        let address = deaf.local_addr().unwrap();
        let client = sockets::start_connect(sockets::bound(V4.parse().unwrap()), address);
        let ours = client.local_addr().unwrap().as_socket_ipv4().unwrap();
        let SocketAddr::V4(theirs) = address else { panic!("{address}") };
        let syn = Segment { from: theirs, to: ours, seq: 1000, ack: 0, flags: SYN };
        Wire::tap().send(syn);
        Wire::tap().send(Segment { seq: 1001, flags: RST, ..syn });
        let error = client.take_error().unwrap().expect("the reset");
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET), "{error}");
    });
    failed_once(&grown, "reset");
    assert_eq!(grown.changes().get("SYN_SENT>SYN_RECV"), Some(&1));
    assert_eq!(grown.changes().get("SYN_RECV>CLOSED"), Some(&1));
    assert_eq!(grown.count("accepts_total"), 0);
}

fn no_port() {
    let netns = Netns::new();
    let server = netns.inside(|| TcpListener::bind(V4).unwrap());
    netns.set("ipv4.ip_local_port_range", "40000 40001").unwrap();
    let held = netns.inside(|| [Pair::over(&server), Pair::over(&server)]);
    let to = server.local_addr().unwrap();
    let grown = after(&netns, || {
        let error = TcpStream::connect(to).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL), "{error}");
    });
    failed_once(&grown, "no_port");
    drop(held);
}

fn canceled() {
    let netns = Netns::new();
    let grown = after(&netns, || {
        let deaf = TcpListener::bind(V4).unwrap();
        lose_all(&deaf);
        let address = deaf.local_addr().unwrap();
        drop(sockets::start_connect(sockets::unbound(address), address));
    });
    for reason in REASONS {
        assert_eq!(grown.count(&failure(reason)), 0, "{reason}");
    }
    assert_eq!(grown.count("connects_canceled_total"), 1);
    assert_eq!(grown.count("connects_total"), 1);
}

#[test]
fn connections_by_syn_cookie_are_accepted_ones_too() {
    needs_root!();
    let grown = counted(|| {
        let netns = Netns::with(&[("ipv4.tcp_syncookies", "2")]);
        let (exporter, before) = begin(&netns);
        churn::connections(&netns, 3);
        exporter.wait_for(&before, "state_transitions_total{from=\"listen\",to=\"closed\"}", 1)
    });
    assert_eq!(grown.count("accepts_total"), 3);
    assert_eq!(grown.changes().get("LISTEN>SYN_RECV"), Some(&3));
    assert_eq!(grown.changes().get("SYN_RECV>ESTABLISHED"), Some(&3));
    assert_eq!(grown.count("state_durations_unknown_total{state=\"syn_recv\"}"), 3);
}

#[test]
fn a_connect_that_is_older_than_tcpwatch_ends_without_a_duration() {
    needs_root!();
    let netns = Netns::new();
    let grown = counted(|| {
        let (_deaf, client) = netns.inside(|| {
            let deaf = TcpListener::bind(V4).unwrap();
            lose_all(&deaf);
            let address: SocketAddr = deaf.local_addr().unwrap();
            (deaf, sockets::start_connect(sockets::unbound(address), address))
        });
        let (exporter, before) = begin(&netns);
        drop(client);
        // Given up or canceled: whether the kernel has sent the SYN again by now is no matter.
        exporter.wait_for(&before, "state_transitions_total{from=\"syn_sent\",to=\"closed\"}", 1)
    });
    assert_eq!(grown.count("connects_total"), 0);
    assert_eq!(grown.count("state_duration_seconds_count{state=\"syn_sent\"}"), 0);
    assert_eq!(grown.count("state_durations_unknown_total{state=\"syn_sent\"}"), 1);
}
