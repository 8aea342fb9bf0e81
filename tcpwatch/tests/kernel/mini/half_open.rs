//! The server's side of a handshake: SYN_RECV from the SYN on.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use socket2::Socket;

use crate::harness::{
    lives::{life, lives_between, seconds},
    netns::Netns,
    sockets::{self, V4, V6, lose_acks, lose_all, lose_nothing},
    watch::Watch,
};

use super::{lasts, side_by_side};

/// A listener and where it listens.
fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    let listening = listener.local_addr().unwrap();
    (listener, listening)
}

fn given_up(watch: &Watch) {
    watch.wait_within(Duration::from_secs(20), "the end of SYN_RECV", |lines| {
        lines.iter().any(|line| line.is("SYN_RECV>CLOSED")).then_some(())
    });
}

#[test]
fn a_half_open_connection_is_told_from_the_syn_to_its_end() {
    needs_root!();
    side_by_side(&[
        ("one_retry", || ack_lost("1", 3, V4)),
        ("one_retry_v6", || ack_lost("1", 3, V6)),
        ("two_retries", || ack_lost("2", 7, V4)),
        ("synack_lost", a_lost_syn_ack_is_one_life_however_often_the_syn_is_repeated),
        ("late_ack", a_late_ack_ends_syn_recv_with_its_true_duration),
        ("reset", a_reset_ends_it),
        ("listener_closed", a_listener_that_closes_ends_it),
        ("killed", an_administrator_ends_it),
    ]);
}

fn ack_lost(retries: &str, promised: u64, address: &str) {
    let netns = Netns::with(&[("ipv4.tcp_synack_retries", retries)]);
    let watch = Watch::on(&netns);
    let (listener, listening) = netns.inside(|| listener(address));
    lose_acks(&listener);
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    watch.wait_count(1, "SYN_RECV", |line| line.is("LISTEN>SYN_RECV"));
    given_up(&watch);
    let log = watch.stop();
    let connected = client.local_addr().unwrap();
    let theirs = life(&log.lines, listening, connected);
    assert_eq!((theirs.path().as_str(), theirs.reason()), ("LISTEN SYN_RECV CLOSED", "timed_out"));
    let took = theirs.seconds_in("SYN_RECV");
    println!("measured: SYN_RECV {took:.4} s with {retries} SYN+ACK retries");
    let steps = (0..).map(|step| 1 << step).scan(0, |sum, step| {
        let go_on = *sum < promised;
        *sum += step;
        go_on.then_some(step)
    });
    let latest: f64 = steps.map(super::longest).sum();
    let tick = tcpwatch_kernel::clock::tick_rate().duration(1).as_secs_f64();
    let earliest = Duration::from_secs(promised).as_secs_f64() - tick;
    assert!(took >= earliest && took <= latest + super::LATE, "{took} s, at most {latest}");
    let ours = life(&log.lines, connected, listening);
    assert_eq!(ours.path(), "CLOSED SYN_SENT ESTABLISHED", "the client is not affected");
    let syn = ours.entered("SYN_SENT").mono_ns;
    let arrival = seconds(syn, theirs.entered("SYN_RECV").mono_ns);
    assert!(arrival < 0.002, "SYN_RECV begins when the SYN arrives: {arrival}");
    let owner = theirs.owner().map(|owner| (owner.pid, owner.via.clone()));
    assert_eq!(owner, Some((std::process::id(), "listen".to_owned())), "the listener's");
    assert_eq!(theirs.direction(), Some("incoming"));
}

fn deaf_client(netns: &Netns, listening: SocketAddr) -> Socket {
    netns.inside(|| {
        let client = sockets::unbound(listening);
        lose_all(&client);
        sockets::start_connect(client, listening)
    })
}

fn local(client: &Socket) -> SocketAddr {
    client.local_addr().unwrap().as_socket().unwrap()
}

fn a_lost_syn_ack_is_one_life_however_often_the_syn_is_repeated() {
    let netns = Netns::with(&[("ipv4.tcp_synack_retries", "1"), ("ipv4.tcp_syn_retries", "1")]);
    drop(netns.set("ipv4.tcp_syn_linear_timeouts", "0"));
    let watch = Watch::on(&netns);
    let (_listener, listening) = netns.inside(|| listener(V4));
    let client = deaf_client(&netns, listening);
    let connected = local(&client);
    given_up(&watch);
    watch.wait_count(1, "the client's end", |line| line.is("SYN_SENT>CLOSED"));
    let log = watch.stop();
    let [theirs] = &lives_between(&log.lines, listening, connected)[..] else {
        panic!("one life: {:?}", log.lines)
    };
    assert_eq!((theirs.path().as_str(), theirs.reason()), ("LISTEN SYN_RECV CLOSED", "timed_out"));
    let took = theirs.seconds_in("SYN_RECV");
    println!("measured: SYN_RECV {took:.4} s while the SYN is repeated");
    assert!((2.99..4.6).contains(&took), "1 s, once more 1 s, 2 s: {theirs}");
    assert_eq!(life(&log.lines, connected, listening).reason(), "timed_out");
}

fn a_late_ack_ends_syn_recv_with_its_true_duration() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (listener, listening) = netns.inside(|| listener(V4));
    lose_acks(&listener);
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    watch.wait_count(1, "SYN_RECV", |line| line.is("LISTEN>SYN_RECV"));
    lose_nothing(&listener);
    watch.wait_count(2, "both ends", |line| line.to == "ESTABLISHED");
    let log = watch.stop();
    let theirs = life(&log.lines, listening, client.local_addr().unwrap());
    assert_eq!(theirs.path(), "LISTEN SYN_RECV ESTABLISHED");
    let took = theirs.seconds_in("SYN_RECV");
    println!("measured: SYN_RECV {took:.4} s until a late ACK");
    lasts(took, 1);
}

fn a_reset_ends_it() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (_listener, listening) = netns.inside(|| listener(V4));
    let client = deaf_client(&netns, listening);
    let connected = local(&client);
    watch.wait_count(1, "SYN_RECV", |line| line.is("LISTEN>SYN_RECV"));
    // The repeated SYN+ACK finds no socket and is answered with a reset.
    drop(client);
    given_up(&watch);
    let log = watch.stop();
    let theirs = life(&log.lines, listening, connected);
    let end = (theirs.path(), theirs.reason());
    assert_eq!(end, ("LISTEN SYN_RECV CLOSED".to_owned(), "reset_received"));
    lasts(theirs.seconds_in("SYN_RECV"), 1);
}

fn a_listener_that_closes_ends_it() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (listener, listening) = netns.inside(|| listener(V4));
    let client = deaf_client(&netns, listening);
    watch.wait_count(1, "SYN_RECV", |line| line.is("LISTEN>SYN_RECV"));
    drop(listener);
    given_up(&watch);
    let log = watch.stop();
    let theirs = life(&log.lines, listening, local(&client));
    let end = (theirs.path(), theirs.reason());
    assert_eq!(end, ("LISTEN SYN_RECV CLOSED".to_owned(), "listener_closed"));
}

fn an_administrator_ends_it() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let (_listener, listening) = netns.inside(|| listener(V4));
    let client = deaf_client(&netns, listening);
    watch.wait_count(1, "SYN_RECV", |line| line.is("LISTEN>SYN_RECV"));
    netns.run("ss --kill --tcp state syn-recv");
    given_up(&watch);
    let log = watch.stop();
    let theirs = life(&log.lines, listening, local(&client));
    assert_eq!(theirs.path(), "LISTEN SYN_RECV CLOSED");
    assert_eq!(theirs.reason(), "killed", "{theirs}");
}
