//! After losses, no live socket is reported as ended, and none ends twice. Live sockets are those that the test itself
//! holds open.

use std::net::{SocketAddr, TcpListener};

use socket2::Socket;

use super::{changes_of, cookie, port};
use crate::harness::{
    churn,
    line::Line,
    netns::Netns,
    program::while_stopped,
    sockets::{self, start_connect, unbound},
    watch::Watch,
};

/// Sockets of each kind; half of them is even, so that every second one of each half was refused.
const MANY: usize = 12;

/// Loses records while `act` runs.
fn lose(netns: &Netns, watch: &Watch, act: impl FnOnce()) {
    while_stopped(watch.pid(), || {
        churn::connections(netns, 1000);
        act();
    });
    watch.wait_count(1, "a loss", |line| line.event == "loss");
}

fn ended(lines: &[Line], cookie: u64) -> usize {
    let of_it = |line: &&Line| line.socket == Some(cookie) && line.is_state();
    lines.iter().filter(of_it).filter(|line| line.to == "CLOSED").count()
}

/// Connects without an answer; every second of the sockets was refused before.
fn waiting(netns: &Netns, silent: SocketAddr, closed: SocketAddr) -> Vec<Socket> {
    netns.inside(|| {
        let connect = |number| {
            let socket = unbound(silent);
            if number % 2 == 1 {
                drop(socket.connect(&closed.into()).unwrap_err());
            }
            sockets::lose_all(&socket);
            start_connect(socket, silent)
        };
        (0..MANY).map(connect).collect()
    })
}

/// A listener that does not answer: none of its segments reaches it.
fn silent(netns: &Netns) -> TcpListener {
    netns.inside(|| {
        let listener = TcpListener::bind(sockets::V4).unwrap();
        sockets::lose_all(&listener);
        listener
    })
}

#[test]
fn connects_that_wait_and_listeners_without_bind_outlive_a_loss() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--buffer", "64K"]);
    let silence = silent(&netns);
    let to = silence.local_addr().unwrap();
    let mut connects = waiting(&netns, to, "127.0.0.1:1".parse().unwrap());
    let gone: Vec<Socket> = connects.split_off(MANY / 2);
    let listeners: Vec<Socket> = (0..MANY)
        .map(|_| {
            let socket = netns.inside(|| unbound(to));
            socket.listen(3).unwrap();
            socket
        })
        .collect();
    let dead: Vec<u64> = gone.iter().map(cookie).collect();
    let before = |number: usize| number % 2; // the refused connect of the same socket
    let last = cookie(listeners.last().unwrap());
    watch.wait_count(1, "the last one listens", |line| line.socket == Some(last));
    lose(&netns, &watch, || drop(gone));
    watch.wait_for("the end of each that is gone", |lines| {
        dead.iter()
            .enumerate()
            .all(|(number, cookie)| ended(lines, *cookie) == before(number) + 1)
            .then_some(())
    });
    let alive: Vec<u64> = connects.iter().chain(&listeners).map(cookie).collect();
    let ports: Vec<u16> = connects.iter().chain(&listeners).map(port).collect();
    let last = *alive.last().unwrap();
    drop(connects);
    drop(listeners);
    watch.wait_count(1, "the last end", |line| {
        line.socket == Some(last) && line.is("LISTEN>CLOSED")
    });
    let log = watch.stop();
    for (number, (cookie, port)) in alive.iter().zip(ports).enumerate() {
        let refused = if number < MANY / 2 { before(number) } else { 0 };
        assert_eq!(ended(&log.lines, *cookie), refused + 1, "{number}");
        let changes = changes_of(&log, *cookie);
        let end = changes.last().unwrap();
        assert_eq!((end.inferred, end.local.unwrap().port), (false, port), "{end}");
    }
    for cookie in dead {
        let changes = changes_of(&log, cookie);
        let end = changes.last().unwrap();
        assert_eq!((end.inferred, end.reason.as_deref()), (true, Some("unknown")), "{end}");
    }
    let marked = log.lines.iter().filter(|line| line.inferred).count();
    assert_eq!(log.summary.inferred, u64::try_from(marked).unwrap());
    let lives = log.lines.iter().filter(|line| line.event == "connection");
    let over = log.lines.iter().filter(|line| line.to == "CLOSED" && line.from != "LISTEN");
    assert_eq!(lives.count(), over.count(), "one life for each end");
}

#[test]
fn half_open_connections_and_time_waits_outlive_a_loss() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::with(&netns, &["--buffer", "64K"]);
    let listener = netns.inside(|| TcpListener::bind(sockets::V4).unwrap());
    let to = listener.local_addr().unwrap();
    let half_open: Vec<Socket> = netns.inside(|| {
        let connect = |_| {
            let socket = unbound(to);
            sockets::lose_all(&socket);
            start_connect(socket, to)
        };
        (0..MANY).map(connect).collect()
    });
    watch.wait_count(MANY, "half open", |line| line.is("LISTEN>SYN_RECV"));
    churn::connections(&netns, MANY);
    watch.wait_count(MANY, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let clients: Vec<u16> = half_open.iter().map(port).collect();
    let doomed = netns.inside(|| sockets::Pair::over(&listener));
    let (client, server) = doomed.ends();
    watch.wait_count(1, "a connection", |line| {
        line.joins(client, server) && line.to == "ESTABLISHED"
    });
    lose(&netns, &watch, || drop(doomed));
    watch.wait_count(1, "the end of what is gone", |line| {
        line.joins(server, client) && line.to == "CLOSED"
    });
    let log = watch.stop();
    let told = |line: &&Line| line.is("SYN_RECV>CLOSED") || line.is("TIME_WAIT>CLOSED");
    let ends: Vec<&Line> = log.lines.iter().filter(told).collect();
    assert!(ends.is_empty(), "{ends:?} of {clients:?}");
    drop(half_open);
}
