//! Orphans in FIN_WAIT_2, and TIME_WAIT that is not possible.

use std::{net::TcpListener, time::Duration};

use rustix::process::Signal;

use crate::harness::{
    let_pass,
    lives::{life, seconds, transcript},
    netns::Netns,
    peer::Peer,
    sockets::{Pair, V4, V6},
    watch::Watch,
};

use super::{came_as_predicted, lasts, side_by_side};

/// Longer than the time in which nothing is reported.
const ORPHANS: u32 = 110;
const ORPHAN: &str = "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2";

#[test]
fn an_orphan_in_fin_wait_2_is_told_until_its_real_end() {
    needs_root!();
    side_by_side(&[
        ("server_stopped", a_stopped_server_leaves_a_killed_client_in_fin_wait_2_for_3_s),
        ("server_stopped_v6", the_same_over_ipv6),
        ("late_fin", a_late_fin_moves_the_orphan_to_time_wait),
        ("fin_timeout_65", tcp_fin_timeout_of_65_s_lasts_about_10_s),
    ]);
}

fn a_stopped_server_leaves_a_killed_client_in_fin_wait_2_for_3_s() {
    abandoned("127.0.0.1:0");
}

fn the_same_over_ipv6() {
    abandoned("[::1]:0");
}

fn abandoned(address: &str) {
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "3")]);
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let watch = Watch::on(&netns);
    let listening = server.listen(address);
    let connected = client.connect(listening);
    server.accept();
    server.signal(Signal::STOP);
    let owner = client.pid();
    client.kill();
    watch.wait_count(1, "the end of FIN_WAIT_2", |line| line.is("FIN_WAIT_2>CLOSED"));
    server.kill();
    watch
        .wait_count(1, "the server's end", |line| line.to == "CLOSED" && line.from != "FIN_WAIT_2");
    let log = watch.stop();
    let ours = life(&log.lines, connected, listening);
    assert_eq!((ours.path(), ours.reason()), (format!("{ORPHAN} CLOSED"), "timer"));
    lasts(ours.seconds_in("FIN_WAIT_2"), 3);
    came_as_predicted(&ours, "FIN_WAIT_2");
    for line in &ours.lines {
        assert_eq!(line.process.as_ref().map(|process| process.pid), Some(owner), "{line}");
    }
    assert!(ours.is_complete(), "{ours}");
}

fn a_late_fin_moves_the_orphan_to_time_wait() {
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "3")]);
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let (client, server) = pair.ends();
    drop(pair.client);
    watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
    let_pass(Duration::from_secs(1));
    drop(pair.server);
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let log = watch.stop();
    let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
    assert_eq!(ours.path(), format!("{ORPHAN} TIME_WAIT"));
    assert!(ours.is_complete(), "{ours}");
    let waited = ours.seconds_in("FIN_WAIT_2");
    println!("measured: FIN_WAIT_2 {waited:.4} s until a late FIN");
    assert!((1.0..1.3).contains(&waited), "{ours}");
    let ends_in = ours.entered("TIME_WAIT").ends_in_s.unwrap();
    lasts(ends_in, 60);
    let sent = theirs.entered("LAST_ACK").mono_ns;
    let apart = seconds(sent, ours.entered("TIME_WAIT").mono_ns);
    assert!(apart < 0.001, "the FIN is sent and received: {apart}");
}

fn tcp_fin_timeout_of_65_s_lasts_about_10_s() {
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "65")]);
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let (client, server) = pair.ends();
    drop(pair.client);
    watch.wait_within(Duration::from_secs(20), "the end of FIN_WAIT_2", |lines| {
        lines.iter().any(|line| line.is("FIN_WAIT_2>CLOSED")).then_some(())
    });
    let log = watch.stop();
    let ours = life(&log.lines, client, server);
    assert_eq!((ours.path(), ours.reason()), (format!("{ORPHAN} CLOSED"), "timer"));
    let took = ours.seconds_in("FIN_WAIT_2");
    println!("measured: FIN_WAIT_2 {took:.4} s with tcp_fin_timeout=65");
    assert!((9.99..10.7).contains(&took), "twice 5 s: {ours}");
}

#[test]
fn the_peers_fin_is_told_whenever_it_comes() {
    needs_root!();
    side_by_side(&[("fins", fins_at_any_moment_within_a_bucket)]);
}

/// While the timer stays in its bucket the kernel reports nothing, which is possible for some 2 s.
fn fins_at_any_moment_within_a_bucket() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let mut servers = Vec::new();
    for _ in 0..ORPHANS {
        let Pair { client, server } = netns.inside(|| Pair::over(&listener));
        let ends = (client.local_addr().unwrap(), server.local_addr().unwrap());
        drop(client);
        servers.push((ends, server));
    }
    let mut closed = Vec::new();
    for (ends, server) in servers {
        drop(server);
        closed.push(ends);
        let_pass(Duration::from_millis(20));
    }
    // Longer than any bucket that a minute falls into at 250 Hz and more.
    let_pass(Duration::from_secs(3));
    let log = watch.stop();
    let mut missed = Vec::new();
    for (client, server) in closed {
        let ours = life(&log.lines, client, server);
        if ours.path() != format!("{ORPHAN} TIME_WAIT") {
            missed.push(ours);
            continue;
        }
        let sent = life(&log.lines, server, client).entered("LAST_ACK").mono_ns;
        let told = ours.entered("TIME_WAIT").mono_ns;
        let apart = Duration::from_nanos(told.abs_diff(sent));
        assert!(apart < Duration::from_millis(10), "{apart:?} from the FIN:\n{ours}");
    }
    assert!(missed.is_empty(), "{} never reported:\n{}", missed.len(), transcript(&missed));
}

#[test]
fn where_there_is_no_room_for_time_wait_the_end_is_the_end() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::with(&[("ipv4.tcp_max_tw_buckets", "0")]);
        let watch = Watch::on(&netns);
        let (client, server) = netns.inside(|| {
            let pair = Pair::over(&TcpListener::bind(address).unwrap());
            let ends = pair.ends();
            pair.close_client_first();
            ends
        });
        watch.wait_count(2, "both ends", |line| line.to == "CLOSED" && line.from != "LISTEN");
        let log = watch.stop();
        let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
        assert_eq!(ours.path(), format!("{ORPHAN} CLOSED"));
        assert_eq!(ours.reason(), "time_wait_overflow");
        assert_eq!(theirs.path(), "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED");
        assert_eq!(log.summary.open, 0);
    }
}
