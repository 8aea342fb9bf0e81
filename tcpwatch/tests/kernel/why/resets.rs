//! Resets, from either side and in every way in which an application can cause one.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use tcpwatch_core::event::reset_reason;

use crate::harness::{
    connections::{about, adds_up, await_connection, connection, explains_resets, turned},
    line::Line,
    lives::life,
    netns::Netns,
    sockets::{self, Pair, V4, V6},
    watch::Watch,
};

use super::SOON;

type Ends = (SocketAddr, SocketAddr);

/// A reset as seen from one side.
#[derive(Clone, Copy, Debug)]
struct Side {
    direction: &'static str,
    /// The state of the socket when the reset passes.
    state: &'static str,
    why: Option<&'static str>,
    closed_by: &'static str,
}

/// `close()` with `SO_LINGER` 0, or with unread data.
const fn aborts(why: &'static str) -> Side {
    Side { direction: "sent", state: "CLOSED", why: Some(why), closed_by: "reset" }
}

/// The peer does that.
const IS_ABORTED: Side =
    Side { direction: "received", state: "ESTABLISHED", why: None, closed_by: "reset" };

impl Side {
    /// Whether it is reported for the socket with these endpoints, with its state, its end and its owner.
    fn is_told(self, lines: &[Line], ends: Ends) {
        // Later segments are answered without a socket.
        let resets = about(lines, "reset", ends).filter(|line| line.socket.is_some());
        let resets: Vec<_> = resets.collect();
        match resets[..] {
            [reset] => self.looks_like(reset),
            [] if !explains_resets() => {}
            _ => panic!("one reset at {ends:?}: {resets:?}"),
        }
        let end = format!("reset_{}", self.direction);
        let life = life(lines, ends.0, ends.1);
        assert_eq!(life.reason(), end, "{life}");
        let connection = connection(lines, ends);
        assert_eq!(connection.end.as_deref(), Some(end.as_str()), "{connection}");
        assert_eq!(connection.closed_by.as_deref(), Some(self.closed_by), "{connection}");
        assert!(connection.failed, "{connection}");
        assert!(resets.iter().all(|reset| reset.socket == connection.socket), "{resets:?}");
        adds_up(connection);
    }

    fn looks_like(self, reset: &Line) {
        assert_eq!(reset.direction.as_deref(), Some(self.direction), "{reset}");
        assert_eq!(reset.state, self.state, "{reset}");
        if explains_resets() || reset.why.is_some() {
            assert_eq!(reset.why.as_deref(), self.why, "{reset}");
        }
        let meaning = reset.why.as_deref().and_then(reset_reason::meaning);
        assert_eq!(reset.meaning.as_deref(), meaning, "{reset}");
        assert_eq!(
            meaning.is_some(),
            reset.why.is_some(),
            "every reason here is explained: {reset}"
        );
        let owner = reset.process.as_ref().map(|owner| owner.pid);
        assert_eq!(owner, Some(std::process::id()), "{reset}");
    }
}

/// The lines about a connection in which `act` runs: client and server. What `act` returns stays open.
fn happens(
    address: &str,
    act: impl FnOnce(&Watch, Pair) -> Option<TcpStream>,
    [client, server]: [Side; 2],
) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
    let ends = pair.ends();
    let _open = act(&watch, pair);
    await_connection(&watch, SOON, ends);
    await_connection(&watch, SOON, turned(ends));
    let log = watch.stop();
    client.is_told(&log.lines, ends);
    server.is_told(&log.lines, turned(ends));
}

#[test]
fn a_side_that_lingers_no_moment_sends_a_reset_and_the_other_receives_it() {
    needs_root!();
    let sent = aborts("tcp_state");
    for address in [V4, V6] {
        let act = |_: &Watch, Pair { client, server }| {
            sockets::reset(client);
            Some(server)
        };
        happens(address, act, [sent, IS_ABORTED]);
        let act = |_: &Watch, Pair { client, server }| {
            sockets::reset(server);
            Some(client)
        };
        happens(address, act, [IS_ABORTED, sent]);
    }
}

#[test]
fn a_side_that_closes_with_unread_data_sends_a_reset_and_the_other_receives_it() {
    needs_root!();
    let sent = aborts("tcp_abort_on_close");
    let unread = |mut writer: TcpStream, reader: TcpStream| {
        writer.write_all(b"unread").unwrap();
        assert_eq!(reader.peek(&mut [0]).unwrap(), 1, "it has come");
        drop(reader);
        Some(writer)
    };
    happens(V4, |_, Pair { client, server }| unread(client, server), [IS_ABORTED, sent]);
    happens(V4, |_, Pair { client, server }| unread(server, client), [sent, IS_ABORTED]);
}

#[test]
fn data_for_a_mini_socket_in_fin_wait_2_are_answered_with_a_reset() {
    needs_root!();
    let closed = Side {
        direction: "sent",
        state: "FIN_WAIT_2",
        why: Some("tcp_timewait_socket"),
        closed_by: "local",
    };
    let writing =
        Side { direction: "received", state: "CLOSE_WAIT", why: None, closed_by: "remote" };
    let act = |watch: &Watch, closing: TcpStream, mut writing: TcpStream| {
        drop(closing);
        assert_eq!(writing.read(&mut [0]).unwrap(), 0, "the peer's FIN");
        watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
        writing.write_all(b"too late").unwrap();
        Some(writing)
    };
    for address in [V4, V6] {
        let client_closes = |watch: &Watch, Pair { client, server }| act(watch, client, server);
        happens(address, client_closes, [closed, writing]);
        let server_closes = |watch: &Watch, Pair { client, server }| act(watch, server, client);
        happens(address, server_closes, [writing, closed]);
    }
}

#[test]
fn data_for_an_orphan_whose_fin_was_lost_are_answered_with_a_reset() {
    needs_root!();
    let closed = Side {
        direction: "sent",
        state: "CLOSED",
        why: Some("tcp_abort_on_data"),
        closed_by: "local",
    };
    let writing =
        Side { direction: "received", state: "ESTABLISHED", why: None, closed_by: "reset" };
    let act = |watch: &Watch, Pair { client, mut server }| {
        sockets::lose_all(&server);
        drop(client);
        server.write_all(b"too late").unwrap();
        watch.wait_count(1, "the orphan's end", |line| line.is("FIN_WAIT_1>CLOSED"));
        // Receives the answer when the data are retransmitted.
        sockets::lose_nothing(&server);
        Some(server)
    };
    happens(V4, act, [closed, writing]);
}
