//! What goes wrong while connections are open: nobody reads, or something forgets them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{
    Case,
    host::{Host, Kept},
};
use crate::harness::{let_pass, sockets};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "nobody reads",
            make: not_read,
            here: &["data_not_read"],
            there: &["zero_window"],
        },
        Case { name: "read slowly", make: read_slowly, here: &[], there: &[] },
        Case {
            name: "forgotten while idle",
            make: forgotten,
            here: &[],
            there: &["idle_forgotten"],
        },
        Case { name: "idle, and used again", make: used_again, here: &[], there: &[] },
    ]
}

/// More than any window.
const MUCH: usize = 16 << 20;

/// The neighbour's client, and this host's server.
fn pair(host: &Host) -> (TcpStream, TcpStream) {
    let listener = host.listen(16);
    let client = host.connect_from_there(&listener);
    (client, listener.accept().unwrap().0)
}

/// Writes as much as is taken.
fn fill(client: &mut TcpStream) {
    client.set_nonblocking(true).unwrap();
    let piece = vec![0; 1 << 16];
    for _ in 0..MUCH / piece.len() {
        if client.write(&piece).is_err() {
            // The window opens a little as long as acknowledgments come.
            let_pass(Duration::from_millis(10));
        }
    }
}

fn not_read(host: &Host) -> Kept {
    let (mut client, server) = pair(host);
    fill(&mut client);
    Box::new((client, server))
}

fn read_slowly(host: &Host) -> Kept {
    let (mut client, mut server) = pair(host);
    fill(&mut client);
    let mut piece = vec![0; 1 << 16];
    let full = piece.clone();
    for _ in 0..200 {
        // There is always more than is read.
        let _taken = client.write(&full).is_ok();
        assert!(server.read(&mut piece).unwrap() > 0);
        let_pass(Duration::from_millis(100));
    }
    Box::new((client, server))
}

/// Long enough to be idle.
const IDLE: Duration = Duration::from_millis(11_500);

fn forgotten(host: &Host) -> Kept {
    let (mut client, server) = pair(host);
    let_pass(IDLE);
    sockets::lose_all(&server);
    client.write_all(b"is anybody there?").unwrap();
    let alive = pair(host);
    Box::new((client, server, alive))
}

fn used_again(host: &Host) -> Kept {
    let (mut client, mut server) = pair(host);
    let_pass(IDLE);
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    Box::new((client, server))
}
