//! Connections that the application, its listener or an administrator ends at once.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
};

use rustix::net::connect_unspec;

use super::{Situation, await_one};
use crate::harness::{
    netns::Netns,
    side_by_side,
    sockets::{self, Pair, V4, half_close, reset},
};

fn pair(netns: &Netns) -> Pair {
    netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()))
}

#[test]
fn a_connection_that_is_ended_at_once_says_by_whom() {
    needs_root!();
    side_by_side(&[
        ("lingers_not", || LINGERS_NOT.holds()),
        ("unread", || UNREAD.holds()),
        ("disconnected", || DISCONNECTED.holds()),
        ("repaired", || REPAIRED.holds()),
        ("killed", || KILLED.holds()),
        ("never_accepted", || NEVER_ACCEPTED.holds()),
    ]);
}

const LINGERS_NOT: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns);
        reset(client);
        drop(server);
    },
    ends: &["ESTABLISHED reset_received", "ESTABLISHED reset_sent"],
    counters: &[],
};

const UNREAD: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, mut server } = pair(netns);
        server.write_all(b"unread").unwrap();
        drop(client);
        drop(server);
    },
    ends: &["ESTABLISHED reset_received", "ESTABLISHED reset_sent"],
    counters: &[("TCPAbortOnClose", 1)],
};

const DISCONNECTED: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns);
        half_close(&client);
        await_one(netns, "fin-wait-2");
        connect_unspec(&server).unwrap();
    },
    ends: &["CLOSE_WAIT reset_sent", "FIN_WAIT_2 reset_received"],
    counters: &[],
};

/// Nothing is sent: the peer goes on.
const REPAIRED: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns);
        sockets::set_tcp_option(&client, libc::TCP_REPAIR, 1);
        drop(client);
        reset(server);
    },
    ends: &["ESTABLISHED repaired", "ESTABLISHED reset_sent"],
    counters: &[],
};

const KILLED: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns);
        let port = client.local_addr().unwrap().port();
        netns.run(&format!("ss --kill --tcp sport = {port}"));
        drop((client, server));
    },
    ends: &["ESTABLISHED killed", "ESTABLISHED reset_received"],
    counters: &[],
};

const NEVER_ACCEPTED: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let client = netns.inside(|| {
            let listener = TcpListener::bind(V4).unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).unwrap()
        });
        drop(client);
    },
    ends: &["ESTABLISHED never_accepted", "ESTABLISHED reset_received"],
    counters: &[],
};
