//! Timeouts that the application has set.

use std::{io::Write as _, net::TcpListener, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tcpwatch_core::timing::{self, RtoOptions, Sysctls};

use crate::harness::{
    connections::{
        about, adds_up, await_connection, connection, explains_resets, lasted, retries, sees,
    },
    info::info,
    lives::{life, seconds},
    netns::Netns,
    sockets::{Pair, V4, lose_all},
    watch::Watch,
};

use super::{SOON, rate};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn keepalive() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let ends = pair.ends();
    lose_all(&pair.server);
    let probes = TcpKeepalive::new().with_time(SECOND).with_interval(SECOND).with_retries(1);
    SockRef::from(&pair.client).set_tcp_keepalive(&probes).unwrap();
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let life = life(&log.lines, ends.0, ends.1);
    assert_eq!(life.reason(), "timed_out", "{life}");
    let took = life.seconds_in("ESTABLISHED");
    assert!(took >= 1.99, "a second of silence and one without an answer: {took}");
    let connection = connection(&log.lines, ends);
    adds_up(connection);
    assert_eq!(connection.end.as_deref(), Some("timed_out"), "{connection}");
    assert!(
        connection.failed && connection.retries.is_empty(),
        "a probe is no retry: {connection}"
    );
    sees(&log.lines, ends, libc::ETIMEDOUT);
    // The kernel sends a reset in case the peer is still there.
    let resets: Vec<_> = about(&log.lines, "reset", ends).collect();
    let [reset] = resets[..] else { panic!("one reset: {resets:?}") };
    let direction = reset.direction.as_deref();
    assert_eq!((direction, reset.state.as_str()), (Some("sent"), "ESTABLISHED"), "{reset}");
    if explains_resets() {
        assert_eq!(reset.why.as_deref(), Some("tcp_keepalive_timeout"), "{reset}");
    }
}

pub(super) fn user_timeout() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let mut pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let ends = pair.ends();
    let options = RtoOptions {
        first_rto: Duration::from_secs_f64(info(&netns, ends).rto),
        orphan: false,
        probe_first: None,
        user_timeout: Some(SECOND),
    };
    let plan = timing::unacknowledged(&Sysctls::default(), options, rate());
    SockRef::from(&pair.client).set_tcp_user_timeout(Some(SECOND)).unwrap();
    lose_all(&pair.server);
    pair.client.write_all(b"lost").unwrap();
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let life = life(&log.lines, ends.0, ends.1);
    assert_eq!(life.reason(), "timed_out", "{life}");
    let told = retries(&log.lines, "data", ends);
    // A probe precedes; the schedule begins with it.
    assert!(told[0].early, "{}", told[0]);
    assert_eq!(told.len(), 1 + plan.attempts.len(), "{plan:?} {life}");
    let end = life.entered("CLOSED").mono_ns;
    lasted(seconds(told[0].mono_ns, end), plan.gives_up);
    let last = told.last().unwrap();
    let announced = timing::Window {
        promise: Duration::from_secs_f64(last.gives_up_in_s.unwrap()),
        latest: Duration::from_secs_f64(last.gives_up_in_at_most_s.unwrap()),
    };
    lasted(seconds(last.mono_ns, end), announced);
    let connection = connection(&log.lines, ends);
    adds_up(connection);
    assert_eq!(connection.end.as_deref(), Some("timed_out"), "{connection}");
    sees(&log.lines, ends, libc::ETIMEDOUT);
    let count = u32::try_from(told.len()).unwrap();
    assert_eq!(connection.retries, [("data".to_owned(), count)].into(), "{connection}");
}
