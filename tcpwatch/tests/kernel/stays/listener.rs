//! A listener whose application does not accept.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

use super::members;
use crate::harness::{
    netns::Netns,
    sockets::{V4, V6},
    watch::Watch,
};

/// A queue that was full before is looked at after 10 s.
const SOON: Duration = Duration::from_secs(20);
const QUEUE: [&str; 3] = ["waits_for", "accept_queue", "accept_queue_max"];

/// A listener with a backlog of 1, that shares its port with others like it.
fn listener(netns: &Netns, at: SocketAddr) -> TcpListener {
    netns.inside(|| {
        let kind = Some(Protocol::TCP);
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, kind).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&at.into()).unwrap();
        socket.listen(1).unwrap();
        socket.into()
    })
}

/// A listener whose two places are taken.
fn filled(netns: &Netns, address: &str) -> (TcpListener, SocketAddr, [TcpStream; 2]) {
    let listener = listener(netns, address.parse().unwrap());
    let at = listener.local_addr().unwrap();
    let clients = netns.inside(|| [(); 2].map(|()| TcpStream::connect(at).unwrap()));
    (listener, at, clients)
}

/// The line about a listener, which says for how long its queue is full.
fn full(watch: &Watch, at: SocketAddr, member: &str) -> Value {
    watch.wait_within(SOON, "a line about a full queue", |lines| {
        let still = lines.iter().filter(|line| line.event == "still" && line.state == "LISTEN");
        let mut here = still.filter(|line| line.local == Some(at.into()));
        let line = here.find(|line| line.text.contains(&format!("\"{member}\"")))?;
        Some(serde_json::from_str::<Value>(&line.text).unwrap())
    })
}

#[test]
fn a_listener_whose_accept_queue_stays_full_waits_for_accept() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (_full, at, _clients) = filled(&netns, address);
        // By its port alone, either could be found.
        let _empty = listener(&netns, at);
        let line = full(&watch, at, "accept_queue_full_s");
        assert_eq!(members(&line, QUEUE), [json!("accept"), json!(2), json!(1)], "{line}");
        let lasts = line["accept_queue_full_s"].as_f64().unwrap();
        assert!((1.0..2.0).contains(&lasts), "{line}");
        assert_eq!(line["process"]["pid"], std::process::id(), "{line}");
        for bytes in ["bytes_unsent", "bytes_unread", "peer_window"] {
            assert_eq!(line[bytes], Value::Null, "connections are no bytes: {line}");
        }
        watch.stop();
    }
}

#[test]
fn a_listener_whose_application_accepts_in_time_has_no_line() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (prompt, in_time, _clients) = filled(&netns, V4);
    let _accepted = prompt.accept().unwrap();
    let (_slow, at, _others) = filled(&netns, V4);
    full(&watch, at, "accept_queue_full_s");
    let log = watch.stop();
    let mut lines = log.lines.iter().filter(|line| line.event == "still");
    assert!(lines.all(|line| line.local != Some(in_time.into())), "full for microseconds only");
}

#[test]
fn a_listener_that_was_full_before_is_so_for_longer_perhaps() {
    needs_root!();
    let netns = Netns::new();
    let (_full, at, _clients) = filled(&netns, V6);
    let watch = Watch::on(&netns);
    let line = full(&watch, at, "accept_queue_full_at_least_s");
    assert_eq!(members(&line, QUEUE), [json!("accept"), json!(2), json!(1)], "{line}");
    let lasts = line["accept_queue_full_at_least_s"].as_f64().unwrap();
    assert!((10.0..12.0).contains(&lasts), "{line}");
    watch.stop();
}
