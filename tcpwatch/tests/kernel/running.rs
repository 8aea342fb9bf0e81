//! How it runs and ends: quietly, soon, side by side, leaving nothing behind.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use rustix::process::Signal;

use crate::harness::{
    churn, let_pass,
    line::Line,
    lives::lives,
    netns::Netns,
    poll,
    program::{loaded_programs, programs_of, sleeps, tcpwatch},
    sockets::{Pair, V4},
    watch::Watch,
};

#[test]
fn it_ends_by_itself_after_the_count_of_lines() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--count", "7"]);
    churn::connections(&netns, 3);
    let log = watch.ended();
    assert_eq!(log.lines.len(), 7);
    assert_eq!(log.summary.changes, 7);
}

#[test]
fn it_ends_by_itself_after_the_duration() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--duration", "0.3"]);
    churn::connections(&netns, 1);
    let log = watch.ended();
    assert!(log.lines.iter().any(|line| line.is("LAST_ACK>CLOSED")), "{:?}", log.lines);
}

#[test]
fn everything_in_the_ring_is_printed_before_the_end() {
    needs_root!();
    for signal in [Signal::TERM, Signal::INT] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        churn::connections(&netns, 300);
        // Without waiting: what has happened so far must be reported.
        let log = watch.stop_with(signal);
        let count = |change: &str| log.lines.iter().filter(|line| line.is(change)).count();
        assert_eq!(count("CLOSED>SYN_SENT"), 300, "{signal:?}");
        assert_eq!(count("LAST_ACK>CLOSED"), 300, "{signal:?}");
        assert_eq!(count("LISTEN>CLOSED"), 1, "{signal:?}");
    }
}

#[test]
fn two_at_once_see_the_same() {
    needs_root!();
    let netns = Netns::new();
    let (one, other) = (Watch::on(&netns), Watch::on(&netns));
    churn::connections(&netns, 50);
    for watch in [&one, &other] {
        watch.wait_count(50, "every TIME_WAIT", |line| line.to == "TIME_WAIT");
    }
    let told = |watch: Watch| {
        let log = watch.stop();
        assert!(log.summary.lost.is_empty(), "{:?}", log.summary);
        let paths = lives(&log.lines).into_iter().map(|life| {
            let last = life.lines.last().unwrap().clone();
            (last.socket, last.local.unwrap().port, life.path())
        });
        paths.collect::<std::collections::BTreeSet<_>>()
    };
    let (one, other) = (told(one), told(other));
    assert_eq!(one.len(), 101, "both ends of 50 connections and a listener");
    assert_eq!(one, other);
}

#[test]
fn an_idle_system_lets_it_sleep_and_load_wakes_it_every_few_milliseconds_at_most() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    churn::connections(&netns, 1);
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let_pass(Duration::from_millis(500));
    let span = Duration::from_secs(2);
    let before = sleeps(watch.pid());
    let_pass(span);
    let idle = sleeps(watch.pid()) - before;
    println!("measured: {idle} wakeups in 2 s of quiet");
    drop(watch);

    // Tracks everything and prints nothing: waiting for the reader of a full pipe is not the subject.
    let watch = Watch::with(&netns, &["--comm", "nobody's"]);
    let before = sleeps(watch.pid());
    churn::for_a_while(&netns, span);
    let busy = (sleeps(watch.pid()) - before) / span.as_secs();
    println!("measured: {busy} wakeups/s under load");
    drop(watch);
    assert!(idle <= 3, "{idle} wakeups in 2 s of quiet");
    assert!(busy <= 400, "{busy} wakeups/s under load");
}

#[test]
fn the_first_record_after_quiet_time_reaches_stdout_at_once() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let mut latencies: Vec<Duration> = (0..15)
        .map(|round| {
            let_pass(Duration::from_millis(60));
            netns.inside(|| drop(TcpStream::connect("127.0.0.1:9").unwrap_err()));
            let is_first = |line: &&Line| line.is("CLOSED>SYN_SENT");
            watch.wait_for("the first record", |lines| {
                let line = lines.iter().filter(is_first).nth(round)?;
                Some(Duration::from_nanos(line.read_ns - line.mono_ns))
            })
        })
        .collect();
    drop(watch);
    latencies.sort_unstable();
    let median = latencies[latencies.len() / 2];
    println!("measured: first record after {median:?} (median), {latencies:?}");
    assert!(median < Duration::from_millis(50), "{latencies:?}");
}

#[test]
fn nothing_stays_attached_when_it_is_killed() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let own = programs_of(watch.pid());
    assert!(own.is_subset(&loaded_programs()), "{own:?}");
    assert!(!own.is_empty(), "it holds its programs");
    watch.kill();
    poll("the kernel drops the programs", || own.is_disjoint(&loaded_programs()).then_some(()));
}

#[test]
fn a_closed_stdout_is_a_normal_end() {
    needs_root!();
    let netns = Netns::new();
    let word = netns.word();
    let mut child = tcpwatch()
        .args(["--netns", &word, "--format", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let status = poll("its end", || {
        netns.inside(|| Pair::over(&listener).close_client_first());
        child.try_wait().unwrap()
    });
    assert!(status.success(), "{status}");
}
