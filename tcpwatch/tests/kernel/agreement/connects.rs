//! Failed connects: the log has the error that the application gets.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::Socket;

use super::{Situation, router_to_nowhere};
use crate::harness::{
    let_pass,
    netns::Netns,
    side_by_side,
    sockets::{self, Pair, V4, V6, lose_all},
};

#[test]
fn a_connect_without_success_fails_by_what_the_application_is_told() {
    needs_root!();
    side_by_side(&[
        ("refused", || REFUSED.holds()),
        ("refused_over_ipv6", || REFUSED_OVER_V6.holds()),
        ("timed_out", || TIMED_OUT.holds()),
        ("gave_up", || GAVE_UP.holds()),
        ("gave_up_unsent", || GAVE_UP_UNSENT.holds()),
        ("canceled", || CANCELED.holds()),
        ("no_port", || NO_PORT.holds()),
        ("tuple_in_use", || TUPLE_IN_USE.holds()),
        ("unreachable_at_once", || UNREACHABLE_AT_ONCE.holds()),
    ]);
}

const REFUSED: Situation = Situation {
    sysctls: &[],
    act: |netns| refused(netns, V4),
    ends: &["SYN_SENT refused"],
    counters: &[],
};

const REFUSED_OVER_V6: Situation = Situation { act: |netns| refused(netns, V6), ..REFUSED };

fn refused(netns: &Netns, address: &str) {
    netns.inside(|| {
        let nobody = TcpListener::bind(address).unwrap().local_addr().unwrap();
        let error = TcpStream::connect(nobody).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED), "{error}");
    });
}

/// A listener that receives nothing.
fn deaf() -> (TcpListener, SocketAddr) {
    let deaf = TcpListener::bind(V4).unwrap();
    lose_all(&deaf);
    let address = deaf.local_addr().unwrap();
    (deaf, address)
}

const TIMED_OUT: Situation = Situation {
    sysctls: &[("ipv4.tcp_syn_retries", "1")],
    act: |netns| {
        netns.inside(|| {
            let (_deaf, address) = deaf();
            let error = TcpStream::connect(address).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT), "{error}");
        });
    },
    ends: &["SYN_SENT timed_out"],
    counters: &[],
};

/// A second and a half: the kernel has retransmitted the SYN.
const GAVE_UP: Situation = Situation {
    sysctls: &[],
    act: |netns| give_up_after(netns, Duration::from_millis(1500)),
    ends: &["SYN_SENT gave_up"],
    counters: &[("TCPSynRetrans", 1)],
};

/// No host has the address, so that no SYN is sent: the timeout of the first has passed all the same.
const GAVE_UP_UNSENT: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        netns.run("ip link add cable type veth peer name other");
        netns.run("ip address add 10.9.0.1/24 dev cable");
        netns.run("ip link set cable up");
        netns.run("ip link set other up");
        let to: SocketAddr = "10.9.0.78:80".parse().unwrap();
        let client = netns.inside(|| sockets::start_connect(sockets::unbound(to), to));
        let_pass(Duration::from_millis(1500));
        drop(client);
    },
    ends: &["SYN_SENT gave_up"],
    counters: &[("TCPSynRetrans", 0)],
};

const CANCELED: Situation = Situation {
    sysctls: &[],
    act: |netns| give_up_after(netns, Duration::ZERO),
    ends: &["SYN_SENT normal"],
    counters: &[("TCPSynRetrans", 0)],
};

fn give_up_after(netns: &Netns, span: Duration) {
    netns.inside(|| {
        let (_deaf, address) = deaf();
        let client = sockets::start_connect(sockets::unbound(address), address);
        let_pass(span);
        drop(client);
    });
}

const NO_PORT: Situation = Situation {
    sysctls: &[("ipv4.ip_local_port_range", "40001 40001")],
    act: |netns| {
        netns.inside(|| {
            let listener = TcpListener::bind("127.0.0.1:50000").unwrap();
            let held = Pair::over(&listener);
            let error = TcpStream::connect(listener.local_addr().unwrap()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL), "{error}");
            sockets::reset(held.client);
            drop(held.server);
        });
    },
    ends: &["ESTABLISHED reset_received", "ESTABLISHED reset_sent", "SYN_SENT no_port"],
    counters: &[],
};

/// Two sockets are bound to one port before the first connects, as a proxy does with its clients' ports.
const TUPLE_IN_USE: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        netns.inside(|| {
            let listener = TcpListener::bind(V4).unwrap();
            let to = listener.local_addr().unwrap();
            let local: SocketAddr = "127.0.0.1:42003".parse().unwrap();
            let (first, second) = (sockets::bound(local), sockets::bound(local));
            first.connect(&to.into()).unwrap();
            let accepted = listener.accept().unwrap().0;
            let error = second.connect(&to.into()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL), "{error}");
            drop(second);
            sockets::reset(first.into());
            drop(accepted);
        });
    },
    ends: &["ESTABLISHED reset_received", "ESTABLISHED reset_sent", "SYN_SENT tuple_in_use"],
    counters: &[],
};

/// A router's ICMP arrives before `connect()` returns.
const UNREACHABLE_AT_ONCE: Situation = Situation {
    sysctls: &[],
    act: |netns| {
        let router = router_to_nowhere(netns);
        netns.inside(|| {
            let to: SocketAddr = "10.9.1.1:80".parse().unwrap();
            let client = sockets::start_connect(sockets::unbound(to), to);
            let error = told(&client).expect("ICMP before connect() returns");
            assert_eq!(error.raw_os_error(), Some(libc::EHOSTUNREACH), "{error}");
        });
        drop(router);
    },
    ends: &["SYN_SENT unreachable"],
    counters: &[("TCPSynRetrans", 0)],
};

/// The error that the application reads (`SO_ERROR`), which clears it.
fn told(client: &Socket) -> Option<io::Error> {
    client.take_error().unwrap()
}
