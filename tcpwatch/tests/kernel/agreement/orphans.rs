//! Orphans, on each way from FIN_WAIT_1, FIN_WAIT_2 and LAST_ACK to CLOSED.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use rustix::net::connect_unspec;

use super::{Situation, await_none, await_one};
use crate::harness::{
    netns::Netns,
    side_by_side,
    sockets::{self, Pair, V4, V6, half_close, lose_all, lose_nothing, reset},
};

fn pair(netns: &Netns, address: &str) -> Pair {
    netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()))
}

#[test]
fn data_that_come_after_close_are_met_by_a_reset_in_every_state() {
    needs_root!();
    side_by_side(&[
        ("with_the_acknowledgment", || ANSWERED.holds()),
        ("with_the_acknowledgment_over_ipv6", || ANSWERED_OVER_V6.holds()),
        ("in_a_full_fin_wait_2", || LATE_FOR_A_FULL_SOCKET.holds()),
        ("in_a_mini_fin_wait_2", || LATE_FOR_A_MINI_SOCKET.holds()),
        ("in_fin_wait_1", || BEFORE_THE_ACKNOWLEDGMENT.holds()),
        ("no_fin_wait_2_wanted", || NO_FIN_WAIT_2.holds()),
    ]);
}

const ANSWERED: Situation = Situation {
    sysctls: &[],
    act: |netns| answer_after_close(netns, V4),
    ends: &["CLOSE_WAIT reset_received", "FIN_WAIT_2 reset_sent"],
    counters: &[("TCPAbortOnData", 1), ("TCPTimeWaitOverflow", 0)],
};

const ANSWERED_OVER_V6: Situation =
    Situation { act: |netns| answer_after_close(netns, V6), ..ANSWERED };

/// The answer acknowledges the FIN.
fn answer_after_close(netns: &Netns, address: &str) {
    let Pair { mut client, mut server } = pair(netns, address);
    client.write_all(b"question").unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0; 100]).unwrap(), 8);
    server.write_all(b"answer").unwrap();
}

/// The full socket waits, because the time is longer than a mini-socket's may be.
const LATE_FOR_A_FULL_SOCKET: Situation = Situation {
    sysctls: &[("ipv4.tcp_fin_timeout", "120")],
    act: late_data,
    ends: &["CLOSE_WAIT reset_received", "FIN_WAIT_2 reset_sent"],
    counters: &[("TCPAbortOnData", 1), ("TCPTimeWaitOverflow", 0)],
};

/// The kernel has no counter for what it answers for a mini-socket.
const LATE_FOR_A_MINI_SOCKET: Situation =
    Situation { sysctls: &[], counters: &[("TCPTimeWaitOverflow", 0)], ..LATE_FOR_A_FULL_SOCKET };

fn late_data(netns: &Netns) {
    let Pair { client, mut server } = pair(netns, V4);
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the FIN");
    await_one(netns, "fin-wait-2");
    server.write_all(b"late").unwrap();
}

/// The FIN is lost, and crosses with data.
const BEFORE_THE_ACKNOWLEDGMENT: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, mut server } = pair(netns, V4);
        lose_all(&server);
        drop(client);
        server.write_all(b"crossing").unwrap();
        lose_nothing(&server);
        // Its own retransmission finds no socket.
        assert!(server.read(&mut [0]).is_err(), "a reset");
    },
    ends: &["ESTABLISHED reset_received", "FIN_WAIT_1 reset_sent"],
    counters: &[("TCPAbortOnData", 1), ("TCPTimeWaitOverflow", 0)],
};

const NO_FIN_WAIT_2: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns, V4);
        sockets::set_tcp_option(&client, libc::TCP_LINGER2, -1);
        drop(client);
        await_none(netns, "fin-wait-1");
        drop(server);
    },
    ends: &["CLOSE_WAIT reset_received", "FIN_WAIT_2 reset_sent"],
    counters: &[("TCPTimeWaitOverflow", 0)],
};

#[test]
fn what_is_no_reset_is_told_as_what_it_is() {
    needs_root!();
    side_by_side(&[
        ("no_room", || NO_ROOM.holds()),
        ("no_room_for_fin_wait_2", || NO_ROOM_FOR_FIN_WAIT_2.holds()),
        ("unanswered_fin", || UNANSWERED_FIN.holds()),
        ("reset_in_fin_wait_1", || RESET_IN_FIN_WAIT_1.holds()),
        ("reset_in_full_fin_wait_2", || RESET_IN_A_FULL_FIN_WAIT_2.holds()),
        ("abandoned_last_ack", || ABANDONED_LAST_ACK.holds()),
        ("last_ack", || LAST_ACK.holds()),
    ]);
}

/// The peer's FIN acknowledges the first one, so that TIME_WAIT is to be entered.
const NO_ROOM: Situation = Situation {
    sysctls: &[("ipv4.tcp_max_tw_buckets", "0")],
    act: |netns| pair(netns, V4).close_client_first(),
    ends: &["FIN_WAIT_2 time_wait_overflow", "LAST_ACK normal"],
    counters: &[("TCPTimeWaitOverflow", 1), ("TCPAbortOnData", 0)],
};

/// The peer's FIN finds no socket.
const NO_ROOM_FOR_FIN_WAIT_2: Situation = Situation {
    act: |netns| {
        let Pair { client, server } = pair(netns, V4);
        drop(client);
        await_none(netns, "fin-wait-1");
        drop(server);
    },
    ends: &["FIN_WAIT_2 time_wait_overflow", "LAST_ACK reset_received"],
    ..NO_ROOM
};

const UNANSWERED_FIN: Situation = Situation {
    sysctls: &[("ipv4.tcp_orphan_retries", "1")],
    act: |netns| {
        let Pair { client, server } = pair(netns, V4);
        lose_all(&server);
        drop(client);
        await_none(netns, "fin-wait-1");
        netns.run("ss --kill --tcp state established");
        drop(server);
    },
    ends: &["ESTABLISHED killed", "FIN_WAIT_1 timed_out"],
    counters: &[("TCPAbortOnTimeout", 1)],
};

const RESET_IN_FIN_WAIT_1: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns, V4);
        lose_all(&server);
        half_close(&client);
        lose_nothing(&server);
        reset(client);
    },
    ends: &["ESTABLISHED reset_received", "FIN_WAIT_1 reset_sent"],
    counters: &[],
};

const RESET_IN_A_FULL_FIN_WAIT_2: Situation = Situation {
    sysctls: &[("ipv4.tcp_fin_timeout", "120")],
    act: |netns| {
        let Pair { client, server } = pair(netns, V4);
        drop(client);
        await_one(netns, "fin-wait-2");
        reset(server);
    },
    ends: &["CLOSE_WAIT reset_sent", "FIN_WAIT_2 reset_received"],
    counters: &[],
};

/// The application disconnects after its FIN was sent: the kernel sends nothing.
const ABANDONED_LAST_ACK: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { client, server } = pair(netns, V4);
        half_close(&client);
        await_one(netns, "fin-wait-2");
        lose_all(&client);
        half_close(&server);
        connect_unspec(&server).unwrap();
        reset(client);
    },
    ends: &["FIN_WAIT_2 reset_sent", "LAST_ACK abandoned"],
    counters: &[],
};

const LAST_ACK: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        pair(netns, V4).close_client_first();
        netns.run("ss --kill --tcp state time-wait");
    },
    ends: &["LAST_ACK normal", "TIME_WAIT killed"],
    counters: &[("TCPTimeWaitOverflow", 0)],
};
