//! Ports by destination.

use std::{
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Reader, queues::listen, series};
use crate::harness::{exporter::Samples, let_pass, netns::Netns, poll, poll_within, sockets::Pair};

/// Timers of the kernel tick every 1 to 10 ms, and are late on a busy machine.
const SLACK: f64 = 1.5;
/// A leak: a connection so often, where there are so many ports.
const EVERY: Duration = Duration::from_millis(250);
const PORTS: u16 = 100;

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The series of `metric` of the destination on this port, with the rest of its labels.
fn to_port(samples: &Samples, metric: &str, port: u16) -> Vec<(String, f64)> {
    let found = series(samples, metric, &format!("remote_port=\"{port}\"")).into_iter();
    found.map(|(series, value)| (series.to_owned(), value)).collect()
}

/// The ports that the destination on this port uses: open, and in TIME_WAIT.
fn used(samples: &Samples, port: u16) -> (f64, f64) {
    let of = |state: &str| {
        let state = format!("state=\"{state}\"");
        let found = to_port(samples, "ephemeral_ports_used", port).into_iter();
        found.filter(|(series, _)| series.contains(&state)).map(|(_, value)| value).sum()
    };
    (of("open"), of("time_wait"))
}

#[test]
fn a_destination_uses_all_ports_when_connect_finds_none_left() {
    needs_root!();
    let netns = Netns::with(&[
        ("ipv4.ip_local_port_range", "40000 40029"),
        ("ipv4.ip_local_reserved_ports", "40010-40014"),
        ("ipv4.tcp_tw_reuse", "0"),
    ]);
    let mut reader = Reader::of(&netns);
    let begun = unix_time();
    let (mut pairs, servers) = netns.inside(|| {
        let servers = [listen("127.0.0.1:2000", 64), listen("127.0.0.1:2001", 64)];
        for _ in 0..4 {
            Pair::over(&servers[0]).close_client_first();
        }
        let pairs: Vec<_> = [0, 0, 0, 1, 1].map(|it| Pair::over(&servers[it])).into();
        (pairs, servers)
    });
    let samples = poll("four in TIME_WAIT and three connections", || {
        let samples = reader.samples();
        (used(&samples, 2000) == (3.0, 4.0)).then_some(samples)
    });
    let netns_label = format!("{{netns=\"{}\"}}", netns.inode);
    let of_all = |samples: &Samples, metric: &str| samples.count(&format!("{metric}{netns_label}"));
    assert_eq!(of_all(&samples, "ephemeral_ports"), 25);
    assert_eq!(of_all(&samples, "ephemeral_ports_busiest_destination"), 7);
    assert_eq!(of_all(&samples, "ephemeral_ports_destinations"), 2);
    assert_eq!(used(&samples, 2001), (2.0, 0.0));
    let [(series, free)] =
        &to_port(&samples, "ephemeral_ports_next_free_timestamp_seconds", 2000)[..]
    else {
        panic!("{samples:?}")
    };
    assert!((begun + 60.0 - SLACK..unix_time() + 60.0 + SLACK).contains(free), "{free}");
    for label in ["cgroup=\"/\"", "local_address=\"127.0.0.1\"", "remote_address=\"127.0.0.1\""] {
        assert!(series.contains(label), "{series}");
    }
    assert!(to_port(&samples, "ephemeral_ports_next_free_timestamp_seconds", 2001).is_empty());

    let refused = netns.inside(|| {
        loop {
            match TcpStream::connect("127.0.0.1:2000") {
                Ok(client) => {
                    let (server, _) = servers[0].accept().unwrap();
                    pairs.push(Pair { client, server });
                }
                Err(error) => return error,
            }
        }
    });
    assert_eq!(refused.kind(), ErrorKind::AddrNotAvailable);
    let samples = poll("a list with all of them", || {
        let samples = reader.samples();
        (of_all(&samples, "ephemeral_ports_busiest_destination") == 25).then_some(samples)
    });
    assert_eq!(used(&samples, 2000), (21.0, 4.0));
    let out = to_port(&samples, "ephemeral_ports_exhausted_timestamp_seconds", 2000);
    let [(_, since)] = out[..] else { panic!("{samples:?}") };
    assert!((begun..=unix_time()).contains(&since), "{since}");
    assert_eq!(
        to_port(&reader.samples(), "ephemeral_ports_exhausted_timestamp_seconds", 2000),
        out,
        "since then"
    );
}

#[test]
fn the_time_at_which_ports_run_out_is_known_before_they_do() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.ip_local_port_range", "40000 40099")]);
    let mut reader = Reader::of(&netns);
    let server = netns.inside(|| listen("127.0.0.1:2000", 64));
    let mut pairs = Vec::new();
    let out = |samples: &Samples| -> Option<f64> {
        to_port(samples, "ephemeral_ports_exhausted_timestamp_seconds", 2000).first().map(|it| it.1)
    };
    let begun = unix_time();
    let forecast = poll_within(Duration::from_secs(30), "a forecast", || {
        netns.inside(|| pairs.push(Pair::over(&server)));
        let_pass(EVERY);
        out(&reader.samples())
    });
    let used = f64::from(u16::try_from(pairs.len()).unwrap());
    let took = unix_time() - begun;
    assert!(used < 60.0, "{used} are in use before there is a forecast");
    let expected = begun + took * f64::from(PORTS) / used;
    assert!((forecast - expected).abs() < 0.25 * (expected - begun), "{forecast} {expected}");
    // The leak ends.
    netns.inside(|| pairs.truncate(1));
    poll("no forecast", || out(&reader.samples()).is_none().then_some(()));
}

#[test]
fn time_wait_that_can_be_taken_again_does_not_use_ports_up() {
    needs_root!();
    for (reuse, is_out) in [("0", true), ("2", false)] {
        let netns = Netns::with(&[
            ("ipv4.ip_local_port_range", "40000 40009"),
            ("ipv4.tcp_tw_reuse", reuse),
        ]);
        let mut reader = Reader::of(&netns);
        netns.inside(|| {
            let server = listen("127.0.0.1:2000", 64);
            for _ in 0..10 {
                Pair::over(&server).close_client_first();
            }
        });
        // Younger than a second none can be taken again.
        poll("ten in TIME_WAIT, and what they are worth", || {
            let samples = reader.samples();
            let out = to_port(&samples, "ephemeral_ports_exhausted_timestamp_seconds", 2000);
            (used(&samples, 2000) == (0.0, 10.0) && out.is_empty() != is_out).then_some(())
        });
        let connected = netns.inside(|| {
            let server = listen("127.0.0.1:2000", 64);
            let_pass(Duration::from_millis(1200));
            let done = TcpStream::connect(server.local_addr().unwrap()).map(drop);
            done.is_ok()
        });
        assert_eq!(connected, !is_out, "tcp_tw_reuse {reuse}");
    }
}
