//! Who owns a socket: never a bystander.

mod handed;
mod listeners;
mod names;
mod passed;
mod uring;

use crate::harness::{
    line::{Line, Owner},
    lives::{life, listener_life, transcript},
    netns::Netns,
    peer::Peer,
    watch::Watch,
};

fn owner(peer: &Peer, name: &str, via: &str) -> Owner {
    Owner { pid: peer.pid(), comm: name.to_owned(), thread: None, via: via.to_owned() }
}

/// How the owner of a socket is known when a line about it is written: until it is closed as it was at first.
fn way(line: &Line, at_first: &'static str, closes_first: bool) -> &'static str {
    let open: &[&str] = if closes_first {
        &["LISTEN", "CLOSED", "SYN_SENT", "SYN_RECV"]
    } else {
        &["LISTEN", "CLOSED", "SYN_SENT", "SYN_RECV", "ESTABLISHED"]
    };
    let opens = line.to == "ESTABLISHED" || line.to.starts_with("SYN_");
    if opens || open.contains(&line.from.as_str()) { at_first } else { "close" }
}

/// A client and a server that are processes of their own; `server_first` closes first.
fn told_owners(server_first: bool) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let listening = server.listen("127.0.0.1:0");
    let connected = client.connect(listening);
    assert_eq!(server.accept(), connected);
    let (first, second) =
        if server_first { (&mut server, &mut client) } else { (&mut client, &mut server) };
    first.close();
    second.await_fin();
    second.close();
    server.stop_listening();
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    watch.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    watch.wait_count(1, "the listener's end", |line| line.is("LISTEN>CLOSED"));
    let log = watch.stop();

    let ours = life(&log.lines, connected, listening);
    for line in &ours.lines {
        let via = way(line, "connect", !server_first);
        assert_eq!(line.process, Some(owner(&client, "a-client", via)), "{line}");
    }
    let theirs = life(&log.lines, listening, connected);
    for line in &theirs.lines {
        let via = way(line, "listen", server_first);
        assert_eq!(line.process, Some(owner(&server, "a-server", via)), "{line}");
    }
    let listener = listener_life(&log.lines, listening);
    for line in &listener.lines {
        assert_eq!(line.process, Some(owner(&server, "a-server", "listen")), "{line}");
    }
}

#[test]
fn on_loopback_the_client_is_never_shown_for_the_servers_socket() {
    needs_root!();
    told_owners(false);
}

#[test]
fn on_loopback_the_server_is_never_shown_for_the_clients_socket() {
    needs_root!();
    told_owners(true);
}

#[test]
fn the_pid_and_comm_filters_show_the_sockets_of_that_process_alone() {
    needs_root!();
    let netns = Netns::new();
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let by_pid = Watch::with(&netns, &["--pid", &client.pid().to_string()]);
    let by_comm = Watch::with(&netns, &["--comm", "a-server"]);
    let listening = server.listen("127.0.0.1:0");
    let connected = client.connect(listening);
    server.accept();
    client.close();
    server.await_fin();
    server.close();
    by_pid.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    by_comm.wait_count(1, "the end", |line| line.is("LAST_ACK>CLOSED"));
    let (by_pid, by_comm) = (by_pid.stop(), by_comm.stop());
    let said = transcript(&by_pid.lines);
    assert!(
        by_pid.lines.iter().all(|line| line.joins(connected, listening)),
        "the client's:\n{said}"
    );
    assert!(by_comm.lines.iter().all(|line| line.local.unwrap().port == listening.port()));
    let path = "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT";
    assert_eq!(life(&by_pid.lines, connected, listening).path(), path);
    let path = "LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSED";
    assert_eq!(life(&by_comm.lines, listening, connected).path(), path);
}
