//! A FIN, and data, that are not acknowledged.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use tcpwatch_core::timing::{self, RtoOptions, Schedule, Sysctls};

use crate::harness::{
    connections::{adds_up, await_connection, connection, keeps_to, retries, same, sees, turned},
    info::{Info, info},
    line::Line,
    lives::life,
    netns::Netns,
    sockets::{Pair, V4, half_close, lose_all, lose_nothing},
    watch::Watch,
};

use super::{SOON, rate};

/// The minimal RTO.
const RTO_MIN: Duration = Duration::from_millis(200);

/// When the FIN of an orphan is retransmitted, or of a socket that its application holds.
fn schedule(retries: u8, orphan: bool, sack: bool, info: &Info) -> Schedule {
    let sysctls = Sysctls { orphan_retries: retries, retries2: retries, ..Sysctls::default() };
    let first_rto = Duration::from_secs_f64(info.rto);
    let probe = first_rto.min(RTO_MIN + 2 * Duration::from_secs_f64(info.srtt));
    let options =
        RtoOptions { first_rto, orphan, probe_first: sack.then_some(probe), user_timeout: None };
    timing::unacknowledged(&sysctls, options, rate())
}

fn pair(netns: &Netns, address: &str) -> (Pair, (SocketAddr, SocketAddr)) {
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
    let ends = pair.ends();
    (pair, ends)
}

/// The FIN that was sent in `state` was retransmitted by the schedule, until the end.
fn is_given_up(lines: &[Line], ends: (SocketAddr, SocketAddr), state: &str, plan: &Schedule) {
    let life = life(lines, ends.0, ends.1);
    assert_eq!(life.reason(), "timed_out", "{life}");
    let told = retries(lines, "fin", ends);
    keeps_to(plan, &told, life.entered(state).mono_ns, life.entered("CLOSED").mono_ns);
    for (line, attempt) in told.iter().zip(&plan.attempts) {
        assert_eq!(line.state, state, "{line}");
        let early = attempt.kind == timing::AttemptKind::Probe;
        assert_eq!((line.early, line.expected_s.is_none()), (early, early), "{line}");
        if !early {
            same(line.expected_s, attempt.gap.promise.as_secs_f64());
        }
    }
    let connection = connection(lines, ends);
    adds_up(connection);
    let count = u32::try_from(told.len()).unwrap();
    assert_eq!(connection.end.as_deref(), Some("timed_out"), "{connection}");
    assert_eq!(connection.retries, [("fin".to_owned(), count)].into(), "{connection}");
    assert_eq!(connection.retransmits, Some(count), "{connection}");
    assert!(connection.failed, "{connection}");
}

pub(super) fn lost_in_fin_wait_1(address: &str, orphan_retries: u8, sack: bool) {
    let netns = Netns::with(&[
        ("ipv4.tcp_orphan_retries", &orphan_retries.to_string()),
        ("ipv4.tcp_sack", if sack { "1" } else { "0" }),
    ]);
    let watch = Watch::on(&netns);
    let (pair, ends) = pair(&netns, address);
    let plan = schedule(orphan_retries, true, sack, &info(&netns, ends));
    lose_all(&pair.server);
    drop(pair.client);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    is_given_up(&log.lines, ends, "FIN_WAIT_1", &plan);
    assert_eq!(connection(&log.lines, ends).closed_by.as_deref(), Some("local"));
}

/// The application shuts down its side only and keeps the socket.
pub(super) fn lost_in_fin_wait_1_of_a_kept_socket() {
    let netns = Netns::with(&[("ipv4.tcp_retries2", "2"), ("ipv4.tcp_orphan_retries", "1")]);
    let watch = Watch::on(&netns);
    let (pair, ends) = pair(&netns, V4);
    let plan = schedule(2, false, true, &info(&netns, ends));
    lose_all(&pair.server);
    half_close(&pair.client);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    is_given_up(&log.lines, ends, "FIN_WAIT_1", &plan);
    sees(&log.lines, ends, libc::ETIMEDOUT);
    assert_eq!(connection(&log.lines, ends).closed_by.as_deref(), Some("local"));
}

pub(super) fn lost_in_last_ack() {
    let netns = Netns::with(&[("ipv4.tcp_orphan_retries", "1")]);
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns, V4);
    half_close(&pair.client);
    assert_eq!(pair.server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    let plan = schedule(1, true, true, &info(&netns, turned(ends)));
    lose_all(&pair.server);
    drop(pair.server);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    is_given_up(&log.lines, turned(ends), "LAST_ACK", &plan);
    assert_eq!(connection(&log.lines, turned(ends)).closed_by.as_deref(), Some("remote"));
}

pub(super) fn data_that_are_heard_at_last() {
    const DATA: &[u8] = b"heard at last";
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns, V4);
    let before = info(&netns, ends);
    lose_all(&pair.server);
    pair.client.write_all(DATA).unwrap();
    watch.wait_count(2, "a probe and a timeout", |line| line.event == "retransmit");
    lose_nothing(&pair.server);
    let mut heard = [0; DATA.len()];
    pair.server.read_exact(&mut heard).unwrap();
    let after = info(&netns, ends);
    pair.close_server_first();
    await_connection(&watch, SOON, ends);
    let log = watch.stop();

    let told = retries(&log.lines, "data", ends);
    for (number, line) in (1..).zip(&told) {
        assert_eq!((line.state.as_str(), line.attempt), ("ESTABLISHED", Some(number)), "{line}");
        assert_eq!(line.early, number == 1, "a tail loss probe is first: {line}");
    }
    assert!(told[0].since_last_s.is_some_and(|since| since > 0.0), "{}", told[0]);
    same(told[1].expected_s, before.rto);
    let connection = connection(&log.lines, ends);
    adds_up(connection);
    let count = u32::try_from(told.len()).unwrap();
    assert_eq!(connection.end.as_deref(), Some("normal"), "{connection}");
    assert!(!connection.failed, "{connection}");
    assert_eq!(connection.retries, [("data".to_owned(), count)].into(), "{connection}");
    assert_eq!(connection.retransmits, Some(after.retransmits), "{connection}");
    let bytes = u64::try_from(DATA.len()).unwrap();
    assert_eq!((connection.bytes_sent, connection.bytes_received), (Some(bytes), Some(0)));
}
