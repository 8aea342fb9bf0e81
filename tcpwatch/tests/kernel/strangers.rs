//! Sockets that are older than tcpwatch.

use std::net::TcpListener;

use crate::harness::{
    lives::life,
    netns::Netns,
    peer::Peer,
    sockets::{Pair, V4, V6, half_close},
    watch::Watch,
};

#[test]
fn the_first_change_of_an_old_connection_has_its_state_and_its_owner_but_no_duration() {
    needs_root!();
    let netns = Netns::new();
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let listening = server.listen("127.0.0.1:0");
    let connected = client.connect(listening);
    server.accept();
    let watch = Watch::on(&netns);
    client.close();
    server.await_fin();
    server.close();
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let log = watch.stop();
    let ours = life(&log.lines, connected, listening);
    let theirs = life(&log.lines, listening, connected);
    assert_eq!(ours.path(), "ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT");
    assert_eq!(theirs.path(), "ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED");
    for (life, peer, direction) in [(&ours, &client, None), (&theirs, &server, Some("incoming"))] {
        assert_eq!(life.lines[0].in_state_s, None, "{life}");
        assert!(life.lines[1..].iter().all(|line| line.in_state_s.is_some()), "{life}");
        assert_eq!(life.direction(), direction, "only a listener gives the direction: {life}");
        for line in &life.lines {
            let owner = line.process.as_ref().unwrap_or_else(|| panic!("an owner: {life}"));
            let via = if line.to == "CLOSE_WAIT" { "fd" } else { "close" };
            assert_eq!((owner.pid, owner.via.as_str()), (peer.pid(), via), "{life}");
        }
    }
    assert_eq!(log.summary.inferred, 0);
}

#[test]
fn an_old_connection_in_any_state_goes_on_from_there() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let pair = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
        let (client, server) = pair.ends();
        half_close(&pair.client);
        let watch = Watch::on(&netns);
        pair.close_client_first();
        watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
        watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
        let log = watch.stop();
        assert_eq!(life(&log.lines, client, server).path(), "FIN_WAIT_2 TIME_WAIT");
        assert_eq!(life(&log.lines, server, client).path(), "CLOSE_WAIT LAST_ACK CLOSED");
        assert_eq!(log.summary.inferred, 0);
    }
}

#[test]
fn a_connection_to_an_old_listener_inherits_its_owner() {
    needs_root!();
    let netns = Netns::new();
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let listening = server.listen("127.0.0.1:0");
    let watch = Watch::on(&netns);
    let connected = client.connect(listening);
    watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    let log = watch.stop();
    let theirs = life(&log.lines, listening, connected);
    assert_eq!(theirs.owner().map(|owner| owner.pid), Some(server.pid()), "{theirs}");
    assert_eq!(log.summary.open, 2, "both ends, and the listener does not count");
}
