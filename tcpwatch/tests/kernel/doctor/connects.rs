//! What goes wrong when connections are opened.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use socket2::Socket;

use super::{
    Case,
    host::{Host, Kept, listen, reached},
};
use crate::harness::{let_pass, sockets};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, make, here| Case { name, make, here, there: &[] };
    vec![
        case("SYNs without an answer", unanswered, &["connect_unanswered"]),
        case("the second SYN is answered", answered_late, &[]),
        case("nothing listens here", refused, &["connect_refused"]),
        case("localhost is ::1 first", falls_back, &[]),
        case("a server that starts late", starts_late, &[]),
        case("a router rejects", rejected, &["connect_rejected"]),
        case("a router rejects once", rejected_once, &[]),
        case("all ports are used", no_port, &["ports_run_out"]),
        case("some ports are used", some_ports, &[]),
        case("ports in TIME_WAIT that are used again", reused_ports, &[]),
        case("ports that are taken one after the other", ports_grow, &["ports_run_out"]),
        case("many ports that stay taken", many_ports, &[]),
        case("a SYN+ACK is lost once", syn_ack_lost_once, &[]),
        case("SYN+ACKs are lost", syn_ack_lost, &["syn_ack_lost", "connect_unanswered"]),
        case("a port that is in use", tuple_in_use, &["tuple_in_use"]),
        case("a port that is used for another destination", tuple_not_in_use, &[]),
        Case {
            name: "a neighbour connects to a closed port",
            make: closed_port,
            here: &["no_listener"],
            there: &["connect_refused"],
        },
        case("a neighbour connects to a listener", open_port, &[]),
    ]
}

/// Begins to connect, inside.
fn begin(host: &Host, to: SocketAddr) -> Socket {
    host.here.inside(|| sockets::start_connect(sockets::unbound(to), to))
}

fn unanswered(host: &Host) -> Kept {
    let listener = listen(&host.there, 16);
    sockets::lose_all(&listener);
    let to = reached(&listener, "10.9.0.2");
    Box::new((begin(host, to), begin(host, to), listener))
}

fn answered_late(host: &Host) -> Kept {
    let listener = listen(&host.there, 16);
    sockets::lose_all(&listener);
    let to = reached(&listener, "10.9.0.2");
    let connecting = begin(host, to);
    let_pass(Duration::from_millis(300));
    sockets::lose_nothing(&listener);
    Box::new((connecting, listener.accept().unwrap(), listener))
}

/// A port of this host that nothing listens on.
fn closed(host: &Host) -> SocketAddr {
    reached(&host.listen(1), "127.0.0.1")
}

pub(super) fn refused(host: &Host) -> Kept {
    let to = closed(host);
    for _ in 0..3 {
        host.here.inside(|| TcpStream::connect(to).unwrap_err());
    }
    Box::new(())
}

fn falls_back(host: &Host) -> Kept {
    let listener = host.listen(16);
    for _ in 0..4 {
        host.here.inside(|| TcpStream::connect(reached(&listener, "::1")).unwrap_err());
        let client = host.connect(&listener);
        sockets::close_first(client, listener.accept().unwrap().0);
    }
    Box::new(listener)
}

fn starts_late(host: &Host) -> Kept {
    let to = closed(host);
    for _ in 0..2 {
        host.here.inside(|| TcpStream::connect(to).unwrap_err());
    }
    let socket = host.here.inside(|| sockets::bound(to));
    socket.listen(16).unwrap();
    let listener: std::net::TcpListener = socket.into();
    Box::new((
        host.here.inside(|| TcpStream::connect(to).unwrap()),
        listener.accept().unwrap(),
        listener,
    ))
}

fn rejected(host: &Host) -> Kept {
    host.there.set("ipv4.ip_forward", "1").unwrap();
    host.there.run("ip route add unreachable 192.0.2.0/24");
    host.here.run("ip route add default via 10.9.0.2");
    let to: SocketAddr = "192.0.2.1:80".parse().unwrap();
    for _ in 0..2 {
        host.here.inside(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap_err());
    }
    Box::new(())
}

/// The route is mended, and the next connect succeeds.
fn rejected_once(host: &Host) -> Kept {
    host.there.set("ipv4.ip_forward", "1").unwrap();
    host.there.run("ip route add unreachable 192.0.2.0/24");
    host.here.run("ip route add default via 10.9.0.2");
    let listener = listen(&host.there, 16);
    let to = reached(&listener, "192.0.2.1");
    host.here.inside(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap_err());
    host.there.run("ip route del unreachable 192.0.2.0/24");
    host.there.run("ip address add 192.0.2.1/32 dev lo");
    let client = host.here.inside(|| TcpStream::connect(to).unwrap());
    Box::new((client, listener.accept().unwrap(), listener))
}

/// A neighbour that accepts, and this host with so many ports.
fn with_ports(host: &Host, count: u16, connects: usize) -> Kept {
    let last = 40_000 + count - 1;
    host.here.set("ipv4.ip_local_port_range", &format!("40000 {last}")).unwrap();
    let listener = listen(&host.there, 64);
    let to = reached(&listener, "10.9.0.2");
    let connect = || host.here.inside(|| TcpStream::connect(to));
    let held: Vec<_> = (0..connects).map(|_| connect()).collect();
    Box::new((held, listener_drained(listener, connects.min(count.into()))))
}

fn listener_drained(listener: std::net::TcpListener, count: usize) -> Kept {
    let accepted: Vec<_> = (0..count).map(|_| listener.accept().unwrap()).collect();
    Box::new((accepted, listener))
}

fn no_port(host: &Host) -> Kept {
    with_ports(host, 10, 12)
}

fn some_ports(host: &Host) -> Kept {
    with_ports(host, 10, 4)
}

/// From 20 on, two in a second: of 100 ports 60 and more, and none left in some seconds more.
fn ports_grow(host: &Host) -> Kept {
    host.here.set("ipv4.ip_local_port_range", "40000 40099").unwrap();
    let listener = listen(&host.there, 128);
    let to = reached(&listener, "10.9.0.2");
    let pair =
        || (host.here.inside(|| TcpStream::connect(to).unwrap()), listener.accept().unwrap());
    let mut held: Vec<_> = (0..20).map(|_| pair()).collect();
    for _ in 0..44 {
        let_pass(Duration::from_millis(400));
        held.push(pair());
    }
    Box::new((held, listener))
}

/// 60 of 100, which no more are added to.
fn many_ports(host: &Host) -> Kept {
    with_ports(host, 100, 60)
}

/// `tcp_tw_reuse` is 2: on loopback a port in TIME_WAIT is free again after a second.
fn reused_ports(host: &Host) -> Kept {
    host.here.set("ipv4.ip_local_port_range", "40000 40099").unwrap();
    let socket = host.here.inside(|| sockets::bound("127.0.0.1:30000".parse().unwrap()));
    socket.listen(64).unwrap();
    let listener: std::net::TcpListener = socket.into();
    for _ in 0..90 {
        let client = host.connect(&listener);
        sockets::close_first(client, listener.accept().unwrap().0);
    }
    Box::new(listener)
}

fn syn_ack_lost(host: &Host) -> Kept {
    let listener = host.listen(16);
    let to = reached(&listener, "127.0.0.1");
    let connects: Vec<_> = (0..2)
        .map(|_| {
            host.here.inside(|| {
                let socket = sockets::unbound(to);
                sockets::lose_syn_acks(&socket);
                sockets::start_connect(socket, to)
            })
        })
        .collect();
    Box::new((connects, listener))
}

/// The second one comes through, a second later.
fn syn_ack_lost_once(host: &Host) -> Kept {
    let listener = host.listen(16);
    let to = reached(&listener, "127.0.0.1");
    let connecting = host.here.inside(|| {
        let socket = sockets::unbound(to);
        sockets::lose_syn_acks(&socket);
        sockets::start_connect(socket, to)
    });
    let_pass(Duration::from_millis(300));
    sockets::lose_nothing(&connecting);
    Box::new((connecting, listener.accept().unwrap(), listener))
}

fn bound_twice(host: &Host, second: &str) -> Kept {
    let listener = host.listen(16);
    let first = reached(&listener, "127.0.0.1");
    let second = reached(&listener, second);
    let from: SocketAddr = "127.0.0.1:31000".parse().unwrap();
    let bound = || host.here.inside(|| sockets::bound(from));
    let (one, other) = (bound(), bound());
    one.connect(&first.into()).unwrap();
    let done = other.connect(&second.into()).is_ok();
    let accepted: Vec<_> = (0..=usize::from(done)).map(|_| listener.accept().unwrap()).collect();
    Box::new((one, other, accepted, listener))
}

fn tuple_in_use(host: &Host) -> Kept {
    bound_twice(host, "127.0.0.1")
}

fn tuple_not_in_use(host: &Host) -> Kept {
    bound_twice(host, "127.0.0.2")
}

fn closed_port(host: &Host) -> Kept {
    let to = reached(&host.listen(1), "10.9.0.1");
    for _ in 0..4 {
        host.there.inside(|| TcpStream::connect(to).unwrap_err());
    }
    Box::new(())
}

fn open_port(host: &Host) -> Kept {
    let listener = host.listen(16);
    let clients: Vec<_> = (0..4).map(|_| host.connect_from_there(&listener)).collect();
    let servers: Vec<_> = (0..4).map(|_| listener.accept().unwrap()).collect();
    Box::new((clients, servers, listener))
}
