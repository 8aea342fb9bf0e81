//! The identity of a socket and its port, also when a socket is reused, and after losses.

mod loss;
mod ports;

use rustix::net::sockopt::socket_cookie;
use socket2::Socket;

use crate::harness::{line::Line, watch::Log};

/// The cookie by which tcpwatch and `ss -e` identify the socket.
fn cookie(socket: &Socket) -> u64 {
    socket_cookie(socket).unwrap()
}

fn port(socket: &Socket) -> u16 {
    socket.local_addr().unwrap().as_socket().unwrap().port()
}

/// `connect()` to `AF_UNSPEC`: the socket is as new, and its port is released.
fn disconnect(socket: &Socket) {
    rustix::net::connect_unspec(socket).unwrap();
}

/// The changes of this socket, in order.
fn changes_of(log: &Log, cookie: u64) -> Vec<&Line> {
    log.lines.iter().filter(|line| line.is_state() && line.socket == Some(cookie)).collect()
}

/// Local ports of the changes that enter this state.
fn ports_entering(log: &Log, cookie: u64, state: &str) -> Vec<u16> {
    let entering = changes_of(log, cookie).into_iter().filter(|line| line.to == state);
    entering.map(|line| line.local.unwrap().port).collect()
}
