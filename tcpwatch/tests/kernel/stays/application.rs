//! What waits for the application.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
};

use serde_json::json;

use super::{members, pair, still};
use crate::harness::{
    connections::{about, turned},
    netns::Netns,
    sockets::{V4, half_close},
    watch::Watch,
};

#[test]
fn a_leak_in_close_wait_says_what_the_application_has_not_read() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    pair.client.write_all(&[1; 700]).unwrap();
    pair.server.read_exact(&mut [0; 200]).unwrap();
    drop(pair.client);
    let line = still(&watch, "CLOSE_WAIT", turned(ends));
    assert_eq!(
        members(&line, ["waits_for", "bytes_unread", "end_read", "orphan"]),
        [json!("close"), json!(500), json!(false), json!(null)]
    );
    assert_eq!(line["process"]["pid"], std::process::id(), "{line}");
    watch.stop();
}

#[test]
fn a_leak_in_close_wait_that_has_read_all_could_know_of_the_fin() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    drop(pair.client);
    assert_eq!(pair.server.read(&mut [0]).unwrap(), 0, "the FIN");
    let line = still(&watch, "CLOSE_WAIT", turned(ends));
    assert_eq!(members(&line, ["bytes_unread", "end_read"]), [json!(0), json!(true)]);
    watch.stop();
}

#[test]
fn a_connection_that_nobody_accepts_waits_for_accept() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let to = listener.local_addr().unwrap();
    let mut client = netns.inside(|| std::net::TcpStream::connect(to).unwrap());
    let from = client.local_addr().unwrap();
    client.write_all(b"hello").unwrap();
    half_close(&client);
    let line = still(&watch, "CLOSE_WAIT", (to, from));
    assert_eq!(members(&line, ["waits_for", "bytes_unread"]), [json!("accept"), json!(5)]);
    watch.stop();
}

#[test]
fn an_established_connection_is_left_alone_however_long_it_lasts() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (idle, ends) = pair(&netns);
    let (other, others) = pair(&netns);
    half_close(&other.client);
    // Whatever is asked about is asked about by then.
    still(&watch, "CLOSE_WAIT", turned(others));
    let log = watch.stop();
    assert_eq!(about(&log.lines, "still", ends).count(), 0);
    assert_eq!(about(&log.lines, "still", turned(ends)).count(), 0);
    drop(idle);
}
