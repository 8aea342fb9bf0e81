//! Half-open connections and timewait sockets that end before their time, and by their timer.

use std::net::{SocketAddr, TcpListener, TcpStream};

use super::{Situation, await_none, await_one, router_to_nowhere};
use crate::harness::{
    netns::Netns,
    side_by_side,
    sockets::{self, Pair, V4, connect_from, lose_acks, lose_nothing, reset},
};

#[test]
fn a_half_open_connection_says_what_ended_it() {
    needs_root!();
    side_by_side(&[
        ("given_up", || GIVEN_UP.holds()),
        ("listener_closed", || LISTENER_CLOSED.holds()),
        ("migrated", || MIGRATED.holds()),
        ("reset_by_peer", || RESET_BY_PEER.holds()),
        ("unreachable", || UNREACHABLE.holds()),
    ]);
}

/// A listener that receives no acknowledgment, and its client.
fn half_open(netns: &Netns) -> (TcpListener, TcpStream) {
    netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        lose_acks(&listener);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener, client)
    })
}

const GIVEN_UP: Situation = Situation {
    sysctls: &[("ipv4.tcp_synack_retries", "1")],
    act: |netns| {
        let (listener, client) = half_open(netns);
        await_none(netns, "syn-recv");
        reset(client);
        drop(listener);
    },
    ends: &["ESTABLISHED reset_sent", "SYN_RECV timed_out"],
    counters: &[],
};

/// The timer of the half-open connection finds it.
const LISTENER_CLOSED: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let (listener, client) = half_open(netns);
        drop(listener);
        await_none(netns, "syn-recv");
        reset(client);
    },
    ends: &["ESTABLISHED reset_sent", "SYN_RECV listener_closed"],
    counters: &[],
};

/// The listener closes, and the half-open connection goes on at another one of its port: it has not ended.
const MIGRATED: Situation = Situation {
    sysctls: &[("ipv4.tcp_migrate_req", "1")],
    act: |netns| {
        let [first, second] = netns.inside(|| {
            let first = sockets::unbound(V4.parse().unwrap());
            first.set_reuse_port(true).unwrap();
            first.bind(&V4.parse::<SocketAddr>().unwrap().into()).unwrap();
            let second = sockets::unbound(V4.parse().unwrap());
            second.set_reuse_port(true).unwrap();
            second.bind(&first.local_addr().unwrap()).unwrap();
            [first, second]
        });
        first.listen(4).unwrap();
        let first = TcpListener::from(first);
        lose_acks(&first);
        let client = netns.inside(|| TcpStream::connect(first.local_addr().unwrap()).unwrap());
        second.listen(4).unwrap();
        drop(first);
        let accepted = TcpListener::from(second).accept().unwrap().0;
        reset(client);
        drop(accepted);
    },
    ends: &["ESTABLISHED reset_received", "ESTABLISHED reset_sent"],
    counters: &[("TCPMigrateReqSuccess", 1)],
};

const RESET_BY_PEER: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let (listener, client) = half_open(netns);
        lose_nothing(&listener);
        reset(client);
    },
    ends: &["ESTABLISHED reset_sent", "SYN_RECV reset_received"],
    counters: &[],
};

/// The SYN comes from an unreachable address: a router answers the SYN+ACK by ICMP.
const UNREACHABLE: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let router = router_to_nowhere(netns);
        let listener = netns.inside(|| TcpListener::bind("10.9.0.1:0").unwrap());
        let to = listener.local_addr().unwrap();
        let client = router.inside(|| {
            let client = sockets::unbound(to);
            client.set_ip_transparent_v4(true).unwrap();
            client.bind(&SocketAddr::from(([10, 9, 1, 1], 0)).into()).unwrap();
            sockets::start_connect(client, to)
        });
        drop((client, listener));
    },
    ends: &["SYN_RECV unreachable"],
    counters: &[],
};

#[test]
fn time_wait_says_what_ended_it() {
    needs_root!();
    side_by_side(&[
        ("reused_by_a_syn", || REUSED.holds()),
        ("fin_wait_2_timer", || FIN_WAIT_2_TIMER.holds()),
        ("reset_in_fin_wait_2", || RESET_IN_FIN_WAIT_2.holds()),
    ]);
}

/// The server closes first, so that its side is in TIME_WAIT when the client connects again.
const REUSED: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        netns.inside(|| {
            let listener = TcpListener::bind(V4).unwrap();
            let listening = listener.local_addr().unwrap();
            let first = sockets::bound(V4.parse().unwrap());
            let connected: SocketAddr = first.local_addr().unwrap().as_socket().unwrap();
            first.connect(&listening.into()).unwrap();
            let server = listener.accept().unwrap().0;
            Pair { client: first.into(), server }.close_server_first();
            let again = connect_from(connected, listening);
            let accepted = listener.accept().unwrap().0;
            reset(again);
            drop(accepted);
        });
    },
    ends: &[
        "ESTABLISHED reset_received",
        "ESTABLISHED reset_sent",
        "LAST_ACK normal",
        "TIME_WAIT reused",
    ],
    counters: &[],
};

const FIN_WAIT_2_TIMER: Situation = Situation {
    sysctls: &[("ipv4.tcp_fin_timeout", "1")],
    act: |netns| {
        let Pair { client, server } = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
        drop(client);
        await_one(netns, "fin-wait-2");
        await_none(netns, "fin-wait-2");
        reset(server);
    },
    ends: &["CLOSE_WAIT reset_sent", "FIN_WAIT_2 timer"],
    counters: &[],
};

const RESET_IN_FIN_WAIT_2: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
        drop(client);
        await_one(netns, "fin-wait-2");
        reset(server);
    },
    ends: &["CLOSE_WAIT reset_sent", "FIN_WAIT_2 reset_received"],
    counters: &[],
};
