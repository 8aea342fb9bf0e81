//! The same faults over IPv6, and over IPv4 with a listener of both families.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{
    Case,
    host::{Host, Kept, reached},
};
use crate::harness::sockets::{self, half_close};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, make, here| Case { name, make, here, there: &[] };
    vec![
        case("IPv6: nobody closes", leak, &["close_wait_leak"]),
        case("a dual-stack server that does not close", leak_mapped, &["close_wait_leak"]),
        case("a dual-stack server that closes", closes_mapped, &[]),
        case(
            "a dual-stack listener that is not accepted from",
            not_accepted_mapped,
            &["accept_queue"],
        ),
        case("IPv6: nothing listens here", refused, &["connect_refused"]),
        case("IPv6: closed with SO_LINGER 0", linger, &["reset_linger_0"]),
        case("IPv6: all ports are used", no_port, &["ports_run_out"]),
        case("IPv6: some ports are used", some_ports, &[]),
        case(
            "a dual-stack half-close that nobody answers",
            half_closed_mapped,
            &["close_wait_leak", "half_closed_forever"],
        ),
    ]
}

/// On every address of both families.
fn dual_stack(host: &Host) -> TcpListener {
    host.here.inside(|| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.set_only_v6(false).unwrap();
        socket.bind(&SocketAddr::from(([0_u16; 8], 0)).into()).unwrap();
        socket.listen(128).unwrap();
        socket.into()
    })
}

/// Connects to it by this address.
fn connect(host: &Host, listener: &TcpListener, address: &str) -> TcpStream {
    let to = reached(listener, address);
    host.here.inside(|| TcpStream::connect(to).unwrap())
}

/// Both ends, the client's first.
fn pair(host: &Host, address: &str) -> (TcpStream, TcpStream) {
    let listener = dual_stack(host);
    let client = connect(host, &listener, address);
    (client, listener.accept().unwrap().0)
}

fn leak(host: &Host) -> Kept {
    let held: Vec<_> = (0..3).map(|_| pair(host, "::1").1).collect();
    Box::new(held)
}

fn leak_mapped(host: &Host) -> Kept {
    let held: Vec<_> = (0..3).map(|_| pair(host, "127.0.0.1").1).collect();
    Box::new(held)
}

fn closes_mapped(host: &Host) -> Kept {
    for _ in 0..10 {
        let (client, server) = pair(host, "127.0.0.1");
        sockets::close_first(client, server);
    }
    Box::new(())
}

fn not_accepted_mapped(host: &Host) -> Kept {
    let listener = dual_stack(host);
    let clients = [connect(host, &listener, "127.0.0.1"), connect(host, &listener, "::1")];
    Box::new((clients, listener))
}

fn refused(host: &Host) -> Kept {
    let to = reached(&dual_stack(host), "::1");
    for _ in 0..3 {
        host.here.inside(|| TcpStream::connect(to).unwrap_err());
    }
    Box::new(())
}

fn linger(host: &Host) -> Kept {
    let listener = dual_stack(host);
    for _ in 0..5 {
        let mut client = connect(host, &listener, "::1");
        let mut server = listener.accept().unwrap().0;
        client.write_all(b"a request").unwrap();
        server.read_exact(&mut [0; 9]).unwrap();
        sockets::reset(client);
    }
    Box::new(listener)
}

/// This host with ten ports, to a listener whose port is none of them.
fn with_ports(host: &Host, connects: usize) -> Kept {
    host.here.set("ipv4.ip_local_port_range", "40000 40009").unwrap();
    let socket = host.here.inside(|| sockets::bound("[::1]:30000".parse().unwrap()));
    socket.listen(64).unwrap();
    let listener: TcpListener = socket.into();
    let to = reached(&listener, "::1");
    let held: Vec<_> = (0..connects).map(|_| host.here.inside(|| TcpStream::connect(to))).collect();
    let accepted: Vec<_> = (0..connects.min(10)).map(|_| listener.accept().unwrap()).collect();
    Box::new((held, accepted, listener))
}

fn no_port(host: &Host) -> Kept {
    with_ports(host, 12)
}

fn some_ports(host: &Host) -> Kept {
    with_ports(host, 4)
}

fn half_closed_mapped(host: &Host) -> Kept {
    let (client, server) = pair(host, "127.0.0.1");
    half_close(&client);
    Box::new((client, server))
}
