//! What waits for the peer's window.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
};

use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Ends, members, still};
use crate::harness::{
    connections::{await_connection, connection},
    netns::Netns,
    sockets::{V4, half_close, reset},
    watch::Watch,
};

/// A server that never reads, behind a small buffer, and a client that has sent until it could not.
fn stuck(netns: &Netns) -> (TcpStream, TcpStream, Ends) {
    netns.inside(|| {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        listener.set_recv_buffer_size(4096).unwrap();
        listener.bind(&V4.parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(1).unwrap();
        let to = listener.local_addr().unwrap().as_socket().unwrap();
        let mut client = TcpStream::connect(to).unwrap();
        let server = listener.accept().unwrap().0.into();
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 1 << 13]).is_ok() {}
        let ends = (client.local_addr().unwrap(), to);
        (client, server, ends)
    })
}

#[test]
fn a_close_behind_a_shut_window_says_what_is_unsent_and_it_is_never_delivered() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (client, server, ends) = stuck(&netns);
    drop(client);
    let line = still(&watch, "FIN_WAIT_1", ends);
    assert_eq!(
        members(&line, ["waits_for", "orphan", "peer_window"]),
        [json!("window"), json!(true), json!(0)]
    );
    assert!(line["window_probes"].as_u64().unwrap() >= 1, "{line}");
    let gives_up = line["gives_up_in_s"].as_f64().unwrap();
    assert!((100.0..500.0).contains(&gives_up), "{line}");
    assert!(line["next_in_s"].as_f64().unwrap() < 2.0, "{line}");
    let unsent = line["bytes_unsent"].as_u64().unwrap();
    assert!(unsent > 4096, "{line}");
    reset(server);
    await_connection(&watch, crate::harness::DEADLINE, ends);
    let log = watch.stop();
    let told = connection(&log.lines, ends);
    assert_eq!(told.bytes_undelivered, Some(unsent), "{told}");
}

#[test]
fn after_shutdown_a_window_is_probed_for_ever_while_the_peer_answers() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (client, _server, ends) = stuck(&netns);
    half_close(&client);
    let line = still(&watch, "FIN_WAIT_1", ends);
    assert_eq!(members(&line, ["waits_for", "orphan"]), [json!("window"), json!(null)]);
    let end = line.get("gives_up_in_s");
    assert_eq!(end, Some(&json!(null)), "known to be never: {line}");
    watch.stop();
}

#[test]
fn an_orphan_is_given_up_when_its_wait_for_the_window_is_the_longest() {
    needs_root!();
    // 200, 400, 800 ms and one second.
    let netns = Netns::new();
    if netns.set("ipv4.tcp_rto_max_ms", "1000").is_err() {
        println!("not tried: this kernel has no tcp_rto_max_ms");
        return;
    }
    let watch = Watch::on(&netns);
    let (client, _server, ends) = stuck(&netns);
    drop(client);
    let line = still(&watch, "FIN_WAIT_1", ends);
    await_connection(&watch, crate::harness::DEADLINE, ends);
    super::comes_true(&watch.stop().lines, &line, ends);
}
