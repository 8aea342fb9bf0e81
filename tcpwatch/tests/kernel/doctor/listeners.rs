//! What goes wrong with the queues of listeners.

use std::{net::TcpStream, time::Duration};

use super::{
    Case,
    host::{Host, Kept, reached},
};
use crate::harness::{
    let_pass,
    sockets::{self, lose_acks},
};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, make, here| Case { name, make, here, there: &[] };
    vec![
        case("an accept queue that is full", full, &["accept_queue", "connect_unanswered"]),
        case("nobody accepts", not_accepted, &["accept_queue"]),
        case("accepted too slowly", accepted_slowly, &["accept_queue"]),
        case("accepted after a moment", accepted_late, &[]),
        case("a busy listener", busy, &[]),
        case("a SYN queue that is full, with cookies", cookies, &["syn_queue_full"]),
        case(
            "a SYN queue that is full, without cookies",
            no_cookies,
            &["syn_queue_full", "unsafe_sysctl"],
        ),
        case("no cookies, and no need for them", no_need_for_cookies, &[]),
    ]
}

/// Two fit into the queue; the third client gets no answer.
fn full(host: &Host) -> Kept {
    let listener = host.listen(1);
    let to = reached(&listener, "127.0.0.1");
    let clients = [host.connect(&listener), host.connect(&listener)];
    let third = host.here.inside(|| sockets::start_connect(sockets::unbound(to), to));
    Box::new((clients, third, listener))
}

pub(super) fn not_accepted(host: &Host) -> Kept {
    let listener = host.listen(16);
    let clients = [host.connect(&listener), host.connect(&listener)];
    Box::new((clients, listener))
}

/// There are always four that wait for `accept()`, each for some seconds.
fn accepted_slowly(host: &Host) -> Kept {
    let listener = host.listen(16);
    let mut clients: Vec<TcpStream> = (0..4).map(|_| host.connect(&listener)).collect();
    let mut servers = Vec::new();
    for _ in 0..22 {
        let_pass(Duration::from_millis(800));
        servers.push(listener.accept().unwrap());
        clients.push(host.connect(&listener));
    }
    Box::new((clients, servers, listener))
}

/// One waits for half a second, again and again.
fn accepted_late(host: &Host) -> Kept {
    let listener = host.listen(16);
    let mut held = Vec::new();
    for _ in 0..30 {
        let client = host.connect(&listener);
        let_pass(Duration::from_millis(500));
        held.push((client, listener.accept().unwrap()));
    }
    Box::new((held, listener))
}

fn busy(host: &Host) -> Kept {
    let listener = host.listen(16);
    for _ in 0..50 {
        let clients: Vec<TcpStream> = (0..8).map(|_| host.connect(&listener)).collect();
        for client in clients {
            sockets::close_first(client, listener.accept().unwrap().0);
        }
    }
    Box::new(listener)
}

/// The last ACKs of clients are lost until it is full; then one connects that finds it so, and is gone at once: its next
/// SYN could come while the three wait for `accept()`, which is as many as there is room for.
fn crowd(host: &Host) -> Kept {
    let listener = host.listen(2);
    let to = reached(&listener, "127.0.0.1");
    lose_acks(&listener);
    let clients: Vec<_> = (0..3).map(|_| host.connect(&listener)).collect();
    let late = host.here.inside(|| sockets::start_connect(sockets::unbound(to), to));
    late.set_linger(Some(Duration::ZERO)).unwrap();
    drop(late);
    sockets::lose_nothing(&listener);
    // Those whose SYN+ACK was sent again come in now.
    listener.set_nonblocking(true).unwrap();
    let mut accepted = Vec::new();
    for _ in 0..170 {
        accepted.extend(listener.accept().ok());
        let_pass(Duration::from_millis(100));
    }
    Box::new((clients, accepted, listener))
}

fn cookies(host: &Host) -> Kept {
    host.here.set("ipv4.tcp_syncookies", "1").unwrap();
    crowd(host)
}

fn no_cookies(host: &Host) -> Kept {
    host.here.set("ipv4.tcp_syncookies", "0").unwrap();
    crowd(host)
}

fn no_need_for_cookies(host: &Host) -> Kept {
    host.here.set("ipv4.tcp_syncookies", "0").unwrap();
    busy(host)
}
