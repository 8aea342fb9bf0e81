//! What goes wrong when connections are closed.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{
    Case,
    host::{Host, Kept},
};
use crate::harness::{
    let_pass,
    sockets::{self, half_close},
};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, make, here| Case { name, make, here, there: &[] };
    vec![
        case("nobody closes", leak, &["close_wait_leak"]),
        case("the server closes after 2 s", slow_close, &[]),
        case(
            "a half-close that nobody answers",
            half_closed,
            &["close_wait_leak", "half_closed_forever"],
        ),
        case("a half-close that is answered slowly", half_close_in_use, &[]),
        case("closed with unread data", unread, &["reset_unread_data"]),
        case("closed when all was read", read, &[]),
        case("closed with SO_LINGER 0", linger, &["reset_linger_0"]),
        case("health checks with SO_LINGER 0", health_check, &[]),
        case("a process ends with unread data", ends_at_once, &[]),
        case("data after close()", late_data, &["reset_late_data"]),
        Case {
            name: "little room for TIME_WAIT",
            make: overflow,
            here: &["time_wait_overflow", "unsafe_sysctl"],
            there: &[],
        },
        case("room for TIME_WAIT", no_overflow, &[]),
    ]
}

/// Both ends, the client's first.
fn pair(host: &Host) -> (TcpStream, TcpStream) {
    let listener = host.listen(16);
    let client = host.connect(&listener);
    (client, listener.accept().unwrap().0)
}

fn leak(host: &Host) -> Kept {
    let held: Vec<_> = (0..3).map(|_| pair(host).1).collect();
    Box::new(held)
}

fn slow_close(host: &Host) -> Kept {
    let (client, server) = pair(host);
    drop(client);
    let_pass(Duration::from_secs(2));
    drop(server);
    Box::new(())
}

fn half_closed(host: &Host) -> Kept {
    let (client, server) = pair(host);
    half_close(&client);
    Box::new((client, server))
}

/// An answer comes, a byte each second.
fn half_close_in_use(host: &Host) -> Kept {
    let (mut client, mut server) = pair(host);
    half_close(&client);
    for _ in 0..22 {
        server.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        let_pass(Duration::from_secs(1));
    }
    Box::new((client, server))
}

/// One after the other, as a server that goes on.
fn one_by_one(host: &Host, end: impl Fn(TcpStream, TcpStream)) -> Kept {
    let listener = host.listen(16);
    for _ in 0..5 {
        let client = host.connect(&listener);
        end(client, listener.accept().unwrap().0);
    }
    Box::new(listener)
}

fn unread(host: &Host) -> Kept {
    one_by_one(host, |mut client, server| {
        client.write_all(b"a request").unwrap();
        server.peek(&mut [0; 9]).unwrap();
        drop(server);
    })
}

fn read(host: &Host) -> Kept {
    one_by_one(host, |mut client, mut server| {
        client.write_all(b"a request").unwrap();
        server.read_exact(&mut [0; 9]).unwrap();
        sockets::close_first(server, client);
    })
}

fn linger(host: &Host) -> Kept {
    one_by_one(host, |mut client, mut server| {
        client.write_all(b"a request").unwrap();
        server.read_exact(&mut [0; 9]).unwrap();
        sockets::reset(client);
    })
}

fn health_check(host: &Host) -> Kept {
    one_by_one(host, |client, _server| sockets::reset(client))
}

fn ends_at_once(host: &Host) -> Kept {
    let mut pairs: Vec<_> = (0..5).map(|_| pair(host)).collect();
    for (client, server) in &mut pairs {
        client.write_all(b"a request").unwrap();
        server.peek(&mut [0; 9]).unwrap();
    }
    let (_clients, servers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    drop(servers);
    Box::new(())
}

/// The client has closed and is in FIN_WAIT_2 when data comes.
fn late_data(host: &Host) -> Kept {
    one_by_one(host, |client, mut server| {
        server.write_all(b"welcome").unwrap();
        let mut client = client;
        client.read_exact(&mut [0; 7]).unwrap();
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        server.write_all(b"late").unwrap();
        let_pass(Duration::from_millis(50));
    })
}

fn close_six(host: &Host) -> Kept {
    let listener = host.listen(16);
    for _ in 0..6 {
        let client = host.connect(&listener);
        sockets::close_first(client, listener.accept().unwrap().0);
    }
    Box::new(listener)
}

fn overflow(host: &Host) -> Kept {
    host.here.set("ipv4.tcp_max_tw_buckets", "2").unwrap();
    close_six(host)
}

fn no_overflow(host: &Host) -> Kept {
    close_six(host)
}
