//! Ends that need something to go wrong that seldom does.

use std::{
    io::{ErrorKind, Write as _},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};

use super::{Situation, await_none, await_one};
use crate::harness::{
    netns::Netns,
    poll, side_by_side,
    sockets::{Pair, V4, half_close, lose_all, lose_nothing},
};

#[test]
fn what_seldom_ends_a_connection_is_told_as_what_it_is() {
    needs_root!();
    side_by_side(&[
        ("keepalive_with_data", || KEEPALIVE_WITH_DATA.holds()),
        ("not_sent", || NOT_SENT.holds()),
        ("no_room_in_closing", || NO_ROOM_IN_CLOSING.holds()),
    ]);
}

fn pair(netns: &Netns) -> Pair {
    netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()))
}

/// Data have gone both ways, and some are unread, when the peer falls silent.
const KEEPALIVE_WITH_DATA: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let Pair { mut client, mut server } = pair(netns);
        client.write_all(b"question").unwrap();
        server.write_all(b"answer").unwrap();
        let second = Duration::from_secs(1);
        let probes = TcpKeepalive::new().with_time(second).with_interval(second).with_retries(1);
        SockRef::from(&client).set_tcp_keepalive(&probes).unwrap();
        lose_all(&server);
        let error = poll("an error", || client.take_error().unwrap());
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        netns.run("ss --kill --tcp state established");
    },
    ends: &["ESTABLISHED killed", "ESTABLISHED timed_out"],
    counters: &[("TCPAbortOnTimeout", 1), ("TCPAbortOnData", 0), ("TCPAbortOnClose", 0)],
};

/// A port is found, and with it there is no route any more: routing looks at it for the first time after
/// SYN_SENT was entered (`ip_route_newports` in `tcp_v4_connect`).
const NOT_SENT: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        // In place of the rule that finds local addresses, which is always first.
        netns.run("ip rule add priority 0 ipproto tcp sport 1-65534 dport 9 prohibit");
        netns.run("ip rule add priority 1 lookup local");
        netns.run("ip rule del priority 0 lookup local");
        let refused = netns.inside(|| TcpStream::connect("127.0.0.1:9").unwrap_err());
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    },
    ends: &["SYN_SENT not_sent"],
    counters: &[],
};

/// Both close at once: the FINs cross, and neither finds room for TIME_WAIT.
const NO_ROOM_IN_CLOSING: Situation = Situation {
    sysctls: &[("ipv4.tcp_max_tw_buckets", "0")],
    act: |netns| {
        let Pair { client, server } = pair(netns);
        lose_all(&server);
        half_close(&client);
        half_close(&server);
        await_one(netns, "closing");
        lose_nothing(&server);
        await_none(netns, "closing");
        await_none(netns, "fin-wait-1");
    },
    ends: &["CLOSING time_wait_overflow", "FIN_WAIT_2 time_wait_overflow"],
    counters: &[("TCPTimeWaitOverflow", 2)],
};
