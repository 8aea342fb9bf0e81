//! How long states last, above all those of mini-sockets, and changes that the log has, too.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::{begin, counted};
use crate::harness::{
    churn,
    exporter::Exporter,
    let_pass,
    netns::Netns,
    side_by_side,
    sockets::{self, Pair, V4, connect_from, lose_acks, reset},
    watch::Watch,
};

const ORPHAN_ENDS: &str = "state_transitions_total{from=\"fin_wait_2\",to=\"closed\"}";
const TIME_WAIT_BEGINS: &str = "state_transitions_total{from=\"fin_wait_2\",to=\"time_wait\"}";
const TIME_WAIT_ENDS: &str = "state_transitions_total{from=\"time_wait\",to=\"closed\"}";

fn pair(netns: &Netns) -> Pair {
    netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()))
}

#[test]
fn a_mini_socket_is_counted_with_the_time_it_lived() {
    needs_root!();
    side_by_side(&[
        ("orphan", an_orphan_ends_by_its_timer),
        ("late_fin", a_late_fin_moves_the_orphan_to_time_wait),
        ("silent", a_change_that_the_kernel_does_not_tell_is_counted_at_the_end),
        ("netns", a_namespace_that_goes_away_ends_its_time_waits),
        ("reused", a_new_connection_ends_time_wait),
        ("half_open", a_half_open_connection_is_given_up),
        ("syn_ack_again", a_syn_ack_that_is_sent_again_ends_nothing),
    ]);
}

fn an_orphan_ends_by_its_timer() {
    let grown = counted(|| {
        let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "2")]);
        let (exporter, before) = begin(&netns);
        let pair = pair(&netns);
        drop(pair.client);
        exporter.wait_for(&before, ORPHAN_ENDS, 1)
    });
    assert_eq!(grown.stays("fin_wait_2", ("1", "5")), 1, "2 s");
    assert_eq!(grown.count("state_duration_seconds_count{state=\"fin_wait_2\"}"), 1);
    let lasted = grown.get("state_duration_seconds_sum{state=\"fin_wait_2\"}");
    assert!((1.99..2.4).contains(&lasted), "{lasted} s");
    assert_eq!(grown.count("connection_ends_total{reason=\"timer\"}"), 1);
    assert_eq!(grown.count(TIME_WAIT_BEGINS), 0);
    assert_eq!(grown.count("map_entries{map=\"minis\"}"), 0, "nothing is left");
}

fn a_late_fin_moves_the_orphan_to_time_wait() {
    let grown = counted(|| {
        let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "5")]);
        let (exporter, before) = begin(&netns);
        let Pair { client, server } = pair(&netns);
        drop(client);
        let_pass(Duration::from_millis(600));
        drop(server);
        exporter.wait_for(&before, TIME_WAIT_BEGINS, 1)
    });
    assert_eq!(grown.stays("fin_wait_2", ("0.5", "1")), 1, "0.6 s");
    assert_eq!(grown.count(ORPHAN_ENDS), 0);
    assert_eq!(grown.count("map_entries{map=\"minis\"}"), 0, "nothing is left");
}

/// With the usual `tcp_fin_timeout` the timer stays in its bucket if the peer closes soon.
fn a_change_that_the_kernel_does_not_tell_is_counted_at_the_end() {
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        for _ in 0..4 {
            let Pair { client, server } = pair(&netns);
            drop(client);
            let_pass(Duration::from_millis(150));
            drop(server);
        }
        exporter.wait_for(&before, "connection_ends_total{reason=\"normal\"}", 4);
        drop(netns);
        exporter.wait_for(&before, TIME_WAIT_ENDS, 4)
    });
    assert_eq!(grown.count(TIME_WAIT_BEGINS), 4, "reported or not");
    assert_eq!(grown.stays("fin_wait_2", ("0.1", "0.5")), 4, "150 ms, by the jiffy");
    assert_eq!(grown.count("state_duration_seconds_count{state=\"fin_wait_2\"}"), 4);
    assert_eq!(grown.count("state_duration_seconds_bucket{state=\"time_wait\",le=\"5\"}"), 4);
}

fn a_namespace_that_goes_away_ends_its_time_waits() {
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        churn::connections(&netns, 20);
        drop(netns);
        exporter.wait_for(&before, TIME_WAIT_ENDS, 20)
    });
    assert_eq!(grown.count("connection_ends_total{reason=\"netns_gone\"}"), 20);
    assert_eq!(grown.count("state_duration_seconds_bucket{state=\"time_wait\",le=\"10\"}"), 20);
    assert_eq!(grown.count("state_durations_unknown_total{state=\"time_wait\"}"), 0);
}

/// The server closes first, so that its side is in TIME_WAIT when the client connects again.
fn a_new_connection_ends_time_wait() {
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        netns.inside(|| {
            let listener = TcpListener::bind(V4).unwrap();
            let listening = listener.local_addr().unwrap();
            let first = sockets::bound(V4.parse().unwrap());
            let connected: SocketAddr = first.local_addr().unwrap().as_socket().unwrap();
            first.connect(&listening.into()).unwrap();
            let server = listener.accept().unwrap().0;
            Pair { client: first.into(), server }.close_server_first();
            let again = connect_from(connected, listening);
            let accepted = listener.accept().unwrap().0;
            reset(again);
            drop(accepted);
        });
        exporter.wait_for(&before, TIME_WAIT_ENDS, 1)
    });
    assert_eq!(grown.count("connection_ends_total{reason=\"reused\"}"), 1);
    assert_eq!(grown.count("connection_ends_total{reason=\"reset_received\"}"), 1);
    assert_eq!(grown.count("connection_ends_total{reason=\"reset_sent\"}"), 1);
    assert_eq!(grown.count("accepts_total"), 2);
}

fn a_half_open_connection_is_given_up() {
    let grown = counted(|| {
        let netns = Netns::with(&[("ipv4.tcp_synack_retries", "1")]);
        let (exporter, before) = begin(&netns);
        let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
        lose_acks(&listener);
        let address = listener.local_addr().unwrap();
        let _client = netns.inside(|| TcpStream::connect(address).unwrap());
        exporter.wait_for(&before, "connection_ends_total{reason=\"timed_out\"}", 1)
    });
    assert_eq!(grown.changes().get("LISTEN>SYN_RECV"), Some(&1));
    assert_eq!(grown.changes().get("SYN_RECV>CLOSED"), Some(&1));
    assert_eq!(grown.changes().get("SYN_RECV>ESTABLISHED"), None);
    assert_eq!(grown.stays("syn_recv", ("1", "5")), 1, "1 s and 2 s");
    assert_eq!(grown.count("retransmits_total{kind=\"syn_ack\"}"), 1);
    assert_eq!(grown.count("accepts_total"), 0);
}

fn a_syn_ack_that_is_sent_again_ends_nothing() {
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
        lose_acks(&listener);
        let address = listener.local_addr().unwrap();
        let client = netns.inside(|| TcpStream::connect(address).unwrap());
        exporter.wait_for(&before, "retransmits_total{kind=\"syn_ack\"}", 1);
        sockets::lose_nothing(&listener);
        let grown = exporter.wait_for(&before, "accepts_total", 1);
        drop(client);
        grown
    });
    assert_eq!(grown.changes().get("LISTEN>SYN_RECV"), Some(&1));
    assert_eq!(grown.changes().get("SYN_RECV>CLOSED"), None);
    assert_eq!(grown.stays("syn_recv", ("1", "10")), 1, "at least one timer of 1 s");
}

#[test]
fn changes_are_those_that_the_log_tells() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "1"), ("ipv4.tcp_synack_retries", "0")]);
    let exporter = Exporter::on(&netns);
    let before = exporter.samples();
    let watch = Watch::on(&netns);
    churn::connections(&netns, 200);
    netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let Pair { client, server } = Pair::over(&listener);
        reset(client);
        drop(server);
        let Pair { client, server } = Pair::over(&listener);
        drop(client);
        let refused = TcpStream::connect("127.0.0.1:1").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED), "{refused}");
        let Pair { client, server: accepted } = Pair::over(&listener);
        drop((accepted, client));
        let_pass(Duration::from_millis(1500));
        drop(server);
    });
    watch.wait_count(1, "the end of FIN_WAIT_2", |line| line.is("FIN_WAIT_2>CLOSED"));
    watch.wait_count(2, "the ends of listeners", |line| line.is("LISTEN>CLOSED"));
    let grown =
        exporter.wait_for(&before, "state_transitions_total{from=\"listen\",to=\"closed\"}", 2);
    let log = watch.stop();
    if grown.missed() > 0 || !log.summary.lost.is_empty() {
        println!("the kernel skipped runs, so that the two need not agree");
        return;
    }
    let mut told: BTreeMap<String, i64> = BTreeMap::new();
    for line in log.lines.iter().filter(|line| line.is_state()) {
        *told.entry(line.change()).or_default() += 1;
    }
    assert_eq!(grown.changes(), told);
}

/// Takes a minute.
#[test]
fn time_wait_lasts_a_minute() {
    needs_root!();
    let grown = counted(|| {
        let netns = Netns::new();
        let (exporter, before) = begin(&netns);
        churn::connections(&netns, 30);
        // Not queried a thousand times in between.
        let_pass(Duration::from_secs(59));
        exporter.wait_within(Duration::from_secs(15), &before, TIME_WAIT_ENDS, 30)
    });
    assert_eq!(grown.stays("time_wait", ("59", "66")), 30);
    assert_eq!(grown.count("connection_ends_total{reason=\"timer\"}"), 30);
    assert_eq!(grown.count("state_duration_seconds_count{state=\"time_wait\"}"), 30);
}
