//! `--retries`, `--lives` and `--failed`: each shows its own kind of line and nothing else.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
};

use crate::harness::{
    line::Line,
    netns::Netns,
    sockets::{self, Pair, V4, lose_all},
    watch::Watch,
};

/// How the connections of [`everything`] end.
const ENDS: [&str; 5] = ["canceled", "normal", "refused", "reset_received", "reset_sent"];

/// One of each kind: connections that end in five ways, resets, errors, lost data.
fn everything(netns: &Netns, watch: &Watch, wait: impl FnOnce(&Watch)) {
    let (to, kept) = netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let to = listener.local_addr().unwrap();
        let Pair { mut client, server } = Pair::over(&listener);
        lose_all(&server);
        client.write_all(b"lost").unwrap();
        lose_all(&listener);
        (to, (client, server, sockets::start_connect(sockets::unbound(to), to), listener))
    });
    wait(watch);
    let (client, server, connecting, listener) = kept;
    drop(connecting);
    sockets::lose_nothing(&server);
    sockets::reset(client);
    drop((server, listener));
    netns.inside(|| {
        drop(TcpStream::connect(to).unwrap_err());
        Pair::over(&TcpListener::bind(V4).unwrap()).close_server_first();
    });
}

/// Not visible in the output of the tested options: waits by a second program.
fn time_wait_ends(netns: &Netns, all: &Watch) {
    all.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    netns.run("ss --kill --tcp state time-wait");
    all.wait_count(6, "each connection", |line| line.event == "connection");
}

fn ends(lines: &[Line]) -> Vec<&str> {
    let mut ends: Vec<_> = lines.iter().map(|line| line.end.as_deref().unwrap()).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

#[test]
fn retries_shows_what_is_sent_again_with_its_owner_and_nothing_else() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--retries"]);
    everything(&netns, &watch, |watch| {
        watch.wait_count(1, "a SYN", |line| line.kind.as_deref() == Some("syn"));
        watch.wait_count(2, "data", |line| line.kind.as_deref() == Some("data"));
    });
    let log = watch.stop();
    for line in &log.lines {
        assert_eq!(line.event, "retransmit", "{line}");
        assert_eq!(
            line.process.as_ref().map(|owner| owner.pid),
            Some(std::process::id()),
            "{line}"
        );
    }
}

#[test]
fn lives_shows_a_line_for_each_connection_and_nothing_else() {
    needs_root!();
    let netns = Netns::new();
    let (all, watch) = (Watch::on(&netns), Watch::with(&netns, &["--lives"]));
    everything(&netns, &all, |_| {});
    time_wait_ends(&netns, &all);
    watch.wait_count(6, "each connection", |line| line.event == "connection");
    let (log, all) = (watch.stop(), all.stop());
    assert_eq!(log.lines.len(), 6, "{:?}", log.lines);
    assert_eq!(ends(&log.lines), ENDS);
    // The lines are the same as among all others.
    let text = |lines: &[Line]| {
        let told = lines.iter().filter(|line| line.event == "connection");
        let mut told: Vec<_> = told
            .map(|line| (line.ends().0.port, line.ends().1.port, line.end.clone(), line.mono_ns))
            .collect();
        told.sort();
        told
    };
    for (alone, among) in text(&log.lines).iter().zip(text(&all.lines)) {
        assert_eq!((alone.0, alone.1, &alone.2), (among.0, among.1, &among.2));
        assert!(alone.3.abs_diff(among.3) < 10_000_000, "{alone:?} {among:?}");
    }
}

#[test]
fn failed_shows_connections_that_failed_and_nothing_else() {
    needs_root!();
    let netns = Netns::new();
    let (all, watch) = (Watch::on(&netns), Watch::with(&netns, &["--failed"]));
    everything(&netns, &all, |_| {});
    time_wait_ends(&netns, &all);
    watch.wait_count(3, "each failure", |line| line.event == "connection");
    let log = watch.stop();
    assert_eq!(log.lines.len(), 3, "{:?}", log.lines);
    assert!(log.lines.iter().all(|line| line.failed), "{:?}", log.lines);
    assert_eq!(ends(&log.lines), ["refused", "reset_received", "reset_sent"]);
}
