//! Connections that began before tcpwatch, and connections that are open when it stops.

use std::{net::TcpListener, time::Duration};

use crate::harness::{
    let_pass,
    line::Line,
    lives::life,
    netns::Netns,
    sockets::{Pair, V4, half_close},
    watch::Watch,
};

/// A service with a leak: its peers have closed.
fn leaks(netns: &Netns) -> Vec<Pair> {
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let leaks: Vec<_> = netns.inside(|| (0..3).map(|_| Pair::over(&listener)).collect());
    for leak in &leaks {
        half_close(&leak.client);
    }
    leaks
}

#[test]
fn a_filter_on_states_begins_with_the_sockets_that_are_in_one() {
    needs_root!();
    let netns = Netns::new();
    let leaks = leaks(&netns);
    let_pass(Duration::from_millis(100));
    let watch = Watch::with(&netns, &["--state", "CLOSE_WAIT"]);
    watch.wait_count(3, "each leak", |line| line.event == "existing");
    let log = watch.stop();
    assert_eq!(log.lines.len(), 3, "{:?}", log.lines);
    for leak in &leaks {
        let (client, server) = leak.ends();
        let line = log.lines.iter().find(|line| line.joins(server, client)).expect("its line");
        assert_eq!((line.state.as_str(), line.in_state_s), ("CLOSE_WAIT", None), "{line}");
        assert!(line.in_state_at_least_s.unwrap() >= 0.1, "{line}");
        let owner = line.process.as_ref().map(|owner| owner.pid);
        assert_eq!(owner, Some(std::process::id()), "{line}");
    }
}

#[test]
fn existing_begins_with_every_socket() {
    needs_root!();
    let netns = Netns::new();
    let leaks = leaks(&netns);
    let watch = Watch::with(&netns, &["--existing"]);
    // A client and a server for each.
    let whole = 2 * leaks.len();
    watch.wait_count(whole, "each socket", |line| line.event == "existing");
    let log = watch.stop();
    let mut states: Vec<_> = log.lines.iter().map(|line| line.state.as_str()).collect();
    states.sort_unstable();
    let expected = ["CLOSE_WAIT"; 3].into_iter().chain(["FIN_WAIT_2"; 3]);
    assert_eq!(states, expected.collect::<Vec<_>>());
}

#[test]
fn a_filter_on_states_knows_how_long_the_state_before_lasted() {
    needs_root!();
    let netns = Netns::new();
    for args in [&["--state", "CLOSE_WAIT"][..], &["--state", "CLOSE_WAIT", "--port", "1-65535"]] {
        let watch = Watch::with(&netns, args);
        let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
        let_pass(Duration::from_millis(50));
        pair.close_client_first();
        watch.wait_count(1, "CLOSE_WAIT", |line| line.to == "CLOSE_WAIT");
        let log = watch.stop();
        let line = log.lines.iter().find(|line| line.to == "CLOSE_WAIT").unwrap();
        assert!(line.in_state_s.is_some_and(|lasted| lasted >= 0.05), "{args:?}: {line}");
    }
}

#[test]
fn lives_end_with_those_that_are_over_but_for_time_wait() {
    needs_root!();
    let netns = Netns::new();
    let old = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let (client, server) = old.ends();
    let (all, watch) = (Watch::on(&netns), Watch::with(&netns, &["--lives"]));
    let open = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    old.close_client_first();
    all.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    all.wait_count(1, "the other end", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    assert_eq!(log.lines.len(), 2, "{:?}", log.lines);
    for line in &log.lines {
        let whole = (line.end.as_deref(), line.existing, line.opened.is_none());
        assert_eq!(whole, (Some("normal"), true, true), "{line}");
    }
    let ours = |line: &&Line| line.joins(client, server);
    let line = log.lines.iter().find(ours).expect("the client's");
    assert!(line.ends_in_s.is_some_and(|ends| (50.0..65.0).contains(&ends)), "{line}");
    assert_eq!(log.summary.open, 2, "both ends of the other");
    drop(open);
}

#[test]
fn close_after_shutdown_shows_the_timer_that_it_starts() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "30")]);
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let (client, server) = pair.ends();
    half_close(&pair.client);
    watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
    let_pass(Duration::from_millis(50));
    drop(pair.client);
    watch.wait_count(1, "the timer", |line| line.event == "restart");
    let log = watch.stop();
    let ours = life(&log.lines, client, server);
    assert_eq!(ours.entered("FIN_WAIT_2").ends_in_s, None, "{ours}");
    let line = log.lines.iter().find(|line| line.event == "restart").unwrap();
    assert_eq!((line.state.as_str(), line.starts), ("FIN_WAIT_2", true), "{line}");
    assert!(line.in_state_s.is_some_and(|lasted| lasted >= 0.05), "{line}");
    assert!(line.ends_in_s.is_some_and(|ends| (29.0..33.0).contains(&ends)), "{line}");
}
