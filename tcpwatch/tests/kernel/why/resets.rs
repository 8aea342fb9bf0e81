//! Resets, from either side and in every way an application can cause one.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
};

use crate::harness::{
    connections::{about, adds_up, await_connection, connection, turned},
    line::Line,
    lives::life,
    netns::Netns,
    sockets::{self, Pair, V4, V6},
    watch::Watch,
};

use super::SOON;

type Ends = (SocketAddr, SocketAddr);

/// What a reset looks like from one side.
#[derive(Clone, Copy, Debug)]
struct Side<'a> {
    ends: Ends,
    direction: &'a str,
    /// In which state the socket is when the reset passes.
    state: &'a str,
    why: Option<&'a str>,
    closed_by: &'a str,
}

impl Side<'_> {
    fn is_told(&self, lines: &[Line]) {
        let Self { ends, direction, state, why, closed_by } = *self;
        let resets: Vec<_> = about(lines, "reset", ends).collect();
        let [reset] = resets[..] else { panic!("one reset at {ends:?}: {resets:?}") };
        println!("measured: {reset}");
        assert_eq!(reset.direction.as_deref(), Some(direction), "{reset}");
        assert_eq!(reset.state, state, "{reset}");
        // Before 6.10 the kernel tells no reason.
        if reset.why.is_some() {
            assert_eq!(reset.why.as_deref(), why, "{reset}");
        }
        let owner = reset.process.as_ref().map(|owner| owner.pid);
        assert_eq!(owner, Some(std::process::id()), "{reset}");

        let end = format!("reset_{direction}");
        let life = life(lines, ends.0, ends.1);
        assert_eq!(life.reason(), end, "{life}");
        let connection = connection(lines, ends);
        assert_eq!(connection.end.as_deref(), Some(end.as_str()), "{connection}");
        assert_eq!(connection.closed_by.as_deref(), Some(closed_by), "{connection}");
        assert!(connection.failed, "{connection}");
        assert_eq!(reset.socket, connection.socket, "{reset}");
        adds_up(connection);
    }
}

/// Both sides of a connection after `act`; the second side is `ends` turned.
fn happens(
    address: &str,
    act: impl FnOnce(&Watch, Pair) -> Vec<Pair>,
    sides: impl Fn(Ends) -> [Side<'static>; 2],
) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
    let ends = pair.ends();
    let _kept = act(&watch, pair);
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    for side in sides(ends) {
        side.is_told(&log.lines);
    }
}
