//! What a running tcpwatch has given up, as the kernel shows it of every thread, and what still works then.

mod serving;
mod threads;

use std::net::{Ipv4Addr, TcpListener};

use crate::harness::{netns::Netns, sockets::Pair};

/// A connection that is opened and closed.
fn connect_once(netns: &Netns) {
    netns.inside(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Pair::over(&listener).close_client_first();
    });
}
