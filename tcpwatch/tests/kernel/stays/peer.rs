//! What waits for the peer: handshakes and FINs.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use serde_json::json;

use super::{comes_true, members, pair, still};
use crate::harness::{
    connections::{await_connection, turned},
    netns::Netns,
    sockets::{V4, half_close, lose_acks, lose_all, start_connect, unbound},
    watch::Watch,
};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

#[test]
fn a_syn_without_an_answer_says_when_the_kernel_gives_up() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_syn_retries", "1")]);
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    lose_all(&listener);
    let to = listener.local_addr().unwrap();
    let client = netns.inside(|| start_connect(unbound(to), to));
    let ends = (client.local_addr().unwrap().as_socket().unwrap(), to);
    let line = still(&watch, "SYN_SENT", ends);
    assert_eq!(members(&line, ["waits_for", "bytes_unsent"]), [json!("syn_ack"), json!(0)]);
    await_connection(&watch, SOON, ends);
    comes_true(&watch.stop().lines, &line, ends);
}

#[test]
fn a_half_open_connection_says_when_it_is_given_up() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_synack_retries", "1")]);
    let watch = Watch::on(&netns);
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let listening = listener.local_addr().unwrap();
    lose_acks(&listener);
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    let ends = (listening, client.local_addr().unwrap());
    let line = still(&watch, "SYN_RECV", ends);
    assert_eq!(members(&line, ["waits_for", "direction"]), ["handshake_ack", "incoming"]);
    assert!(line["socket"].is_u64(), "it has a cookie when it was asked about: {line}");
    await_connection(&watch, SOON, ends);
    comes_true(&watch.stop().lines, &line, ends);
}

#[test]
fn a_fin_with_data_that_nobody_acknowledges_says_when_the_orphan_is_given_up() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_orphan_retries", "2")]);
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    lose_all(&pair.server);
    pair.client.write_all(b"ten bytes.").unwrap();
    drop(pair.client);
    let line = still(&watch, "FIN_WAIT_1", ends);
    assert_eq!(members(&line, ["waits_for", "orphan"]), [json!("acknowledgment"), json!(true)]);
    let bytes = ["bytes_unsent", "bytes_unacknowledged", "bytes_unread"];
    assert_eq!(members(&line, bytes), [0, 10, 0], "{line}");
    assert!(line["sent_again"].as_u64().unwrap() >= 1, "{line}");
    await_connection(&watch, SOON, ends);
    comes_true(&watch.stop().lines, &line, ends);
}

#[test]
fn the_fin_of_a_socket_that_is_kept_is_no_orphans() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_orphan_retries", "1"), ("ipv4.tcp_retries2", "2")]);
    let watch = Watch::on(&netns);
    let (pair, ends) = pair(&netns);
    lose_all(&pair.server);
    half_close(&pair.client);
    let line = still(&watch, "FIN_WAIT_1", ends);
    assert_eq!(members(&line, ["waits_for", "orphan"]), [json!("acknowledgment"), json!(null)]);
    await_connection(&watch, SOON, ends);
    comes_true(&watch.stop().lines, &line, ends);
}

#[test]
fn the_last_fin_waits_for_its_acknowledgment_in_last_ack() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_orphan_retries", "2")]);
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    half_close(&pair.client);
    assert_eq!(pair.server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    lose_all(&pair.server);
    drop(pair.server);
    let line = still(&watch, "LAST_ACK", turned(ends));
    assert_eq!(members(&line, ["waits_for", "orphan"]), [json!("acknowledgment"), json!(true)]);
    assert_eq!(members(&line, ["bytes_unread", "end_read"]), [json!(0), json!(true)]);
    await_connection(&watch, SOON, turned(ends));
    comes_true(&watch.stop().lines, &line, turned(ends));
}

#[test]
fn both_fins_under_way_wait_for_their_acknowledgment_in_closing() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_orphan_retries", "2")]);
    let watch = Watch::on(&netns);
    let (pair, ends) = pair(&netns);
    // What the server does not hear, the client's FIN among it, it does not acknowledge.
    lose_all(&pair.server);
    half_close(&pair.client);
    drop(pair.server);
    let line = still(&watch, "CLOSING", ends);
    assert_eq!(members(&line, ["waits_for", "end_read"]), [json!("acknowledgment"), json!(false)]);
    watch.stop();
}

#[test]
fn an_orphan_in_fin_wait_2_ends_when_its_line_says() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "3")]);
    let watch = Watch::on(&netns);
    let (pair, ends) = pair(&netns);
    drop(pair.client);
    let line = still(&watch, "FIN_WAIT_2", ends);
    assert_eq!(members(&line, ["waits_for", "orphan"]), [json!("peer_fin"), json!(true)]);
    await_connection(&watch, SOON, ends);
    let log = watch.stop();
    let closed = crate::harness::lives::life(&log.lines, ends.0, ends.1).entered("CLOSED").mono_ns;
    let took = crate::harness::lives::seconds(line["mono_ns"].as_u64().unwrap(), closed);
    let told = line["ends_in_s"].as_f64().unwrap();
    assert!((took - told).abs() < 0.3, "{took} s passed: {line}");
}

#[test]
fn after_shutdown_fin_wait_2_has_no_end() {
    needs_root!();
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "3")]);
    let watch = Watch::on(&netns);
    let (mut pair, ends) = pair(&netns);
    half_close(&pair.client);
    pair.server.write_all(b"an answer").unwrap();
    let line = still(&watch, "FIN_WAIT_2", ends);
    assert_eq!(
        members(&line, ["waits_for", "orphan", "ends_in_s", "gives_up_in_s"]),
        [json!("peer_fin"), json!(null), json!(null), json!(null)]
    );
    assert_eq!(line["bytes_unread"], 9, "{line}");
    watch.stop();
}
