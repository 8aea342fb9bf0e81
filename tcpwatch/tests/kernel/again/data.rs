//! Retransmissions of data and FIN.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use tcpwatch_kernel::clock;

use crate::harness::{
    connections::{await_connection, connection, retries},
    info::info,
    kernel::RETRANSMITS_WITH_ERROR,
    let_pass,
    line::{Line, Sent},
    netns::{Netns, two_hosts},
    poll,
    sockets::{self, Pair, V4, lose_all, lose_nothing},
    watch::Watch,
};

const DATA: &[u8] = &[7; 1000];
const SOON: Duration = Duration::from_secs(20);

fn pair(netns: &Netns) -> (Pair, (SocketAddr, SocketAddr)) {
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let ends = pair.ends();
    (pair, ends)
}

/// The probe repeats only the FIN; the timeout repeats both in one segment.
pub(super) fn a_fin_that_is_sent_again_with_data_is_data() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, _) = pair(&netns);
    lose_all(&pair.server);
    pair.client.write_all(DATA).unwrap();
    drop(pair.client);
    watch.wait_count(3, "three retries", |line| line.event == "retransmit");
    let log = watch.stop();
    let kinds = log.lines.iter().filter_map(|line| line.kind.as_deref());
    assert_eq!(kinds.take(3).collect::<Vec<_>>(), ["fin", "data", "data"]);
}

/// The host's own queue drops them: each time, the kernel counts those bytes as sent.
pub(super) fn bytes_count_once_whatever_the_own_network_drops() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    pair.client.write_all(&DATA[..100]).unwrap();
    pair.server.read_exact(&mut [0; 100]).unwrap();
    netns.run("tc qdisc add dev lo root pfifo limit 0");
    pair.client.write_all(DATA).unwrap();
    poll("three attempts", || (info(&netns, ends).bytes_sent >= 3100).then_some(()));
    netns.run("tc qdisc del dev lo root");
    pair.server.read_exact(&mut [0; 1000]).unwrap();
    pair.close_server_first();
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let line = connection(&log.lines, ends);
    assert_eq!((line.bytes_sent, line.bytes_undelivered), (Some(1100), Some(0)), "{line}");
}

pub(super) fn bytes_that_nobody_acknowledges_are_not_delivered() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    pair.client.write_all(&DATA[..100]).unwrap();
    pair.server.read_exact(&mut [0; 100]).unwrap();
    lose_all(&pair.server);
    pair.client.write_all(DATA).unwrap();
    sockets::reset(pair.client);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let line = connection(&log.lines, ends);
    assert_eq!((line.bytes_sent, line.bytes_undelivered), (Some(1100), Some(1000)), "{line}");
}

/// Two segments are lost: the probe repeats the second, the timeout the first.
pub(super) fn the_time_since_the_last_is_that_of_the_segment() {
    let netns = Netns::new();
    netns.run("ip link set lo mtu 1500");
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    pair.client.set_nodelay(true).unwrap();
    lose_all(&pair.server);
    let mut send = || {
        let before = clock::now().0;
        pair.client.write_all(DATA).unwrap();
        before..=clock::now().0
    };
    let first = send();
    let_pass(Duration::from_millis(5));
    let second = send();
    watch.wait_count(2, "a probe and a timeout", |line| line.event == "retransmit");
    let log = watch.stop();
    let told = retries(&log.lines, "data", ends);
    for (line, early, sent) in [(told[0], true, second), (told[1], false, first)] {
        assert_eq!(line.early, early, "{line}");
        let since = Duration::from_secs_f64(line.since_last_s.expect("known"));
        let since = u64::try_from(since.as_nanos()).unwrap();
        let last = line.mono_ns - since;
        assert!((*sent.start()..=*sent.end() + 1000).contains(&last), "{last} {sent:?}: {line}");
    }
    lose_nothing(&pair.server);
}

/// No host has the address: three SYNs are not sent.
pub(super) fn what_is_not_sent_is_no_retransmission() {
    let (left, _right) = two_hosts();
    let watch = Watch::on(&left);
    let to = "10.9.0.78:80".parse().unwrap();
    let client = left.inside(|| sockets::start_connect(sockets::unbound(to), to));
    let ends = (client.local_addr().unwrap().as_socket().unwrap(), to);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    if !RETRANSMITS_WITH_ERROR.is_there() {
        return;
    }
    let tried = retries(&log.lines, "syn", ends);
    let not = |line: &&&Line| line.not_sent == Some(Sent::Not(true));
    let count = u32::try_from(tried.iter().filter(not).count()).unwrap();
    assert!(count > 0, "{tried:?}");
    let line = connection(&log.lines, ends);
    assert_eq!(line.not_sent, Some(Sent::NotOften(count)), "{line}");
    let sent = u32::try_from(tried.len()).unwrap() - count;
    assert_eq!(line.retransmits, Some(sent), "{line}");
}

/// The kernel counts such a SYN as sent again (`RetransSegs`), and that it failed.
pub(super) fn what_the_own_queue_refuses_was_not_sent_again() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    netns.run("tc qdisc add dev lo root pfifo limit 0");
    let to = "127.0.0.1:80".parse().unwrap();
    let client = netns.inside(|| sockets::start_connect(sockets::unbound(to), to));
    let ends = (client.local_addr().unwrap().as_socket().unwrap(), to);
    if !RETRANSMITS_WITH_ERROR.is_there() {
        return;
    }
    watch.wait_count(2, "two attempts", |line| line.event == "retransmit");
    drop(client);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let tried = u32::try_from(retries(&log.lines, "syn", ends).len()).unwrap();
    let line = connection(&log.lines, ends);
    assert_eq!(line.not_sent, Some(Sent::NotOften(tried)), "{line}");
    assert_eq!((line.retransmits, line.end.as_deref()), (Some(0), Some("gave_up")), "{line}");
}
