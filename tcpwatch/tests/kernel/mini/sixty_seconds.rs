//! TIME_WAIT to its end. Everything here takes a minute, side by side.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use rustix::process::Signal;

use crate::harness::{
    let_pass,
    lives::{Life, life, listener_life, lives, seconds},
    netns::Netns,
    peer::Peer,
    sockets::{Pair, V4, V6, connect_from, half_close, lose_all, lose_nothing},
    watch::{Log, Watch},
    witness::{Witness, agree},
};

use super::{came_as_predicted, lasts, side_by_side};

const CLIENT: &str = "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED";

#[test]
fn time_wait_is_told_to_its_real_end() {
    needs_root!();
    side_by_side(&[
        ("client_first", || ordinary(V4)),
        ("client_first_v6", || ordinary(V6)),
        ("owners", the_owner_of_a_time_wait_is_the_process_that_had_the_socket),
        ("closing", closing_leads_to_time_wait),
        ("existing", an_old_time_wait_is_told_to_end),
        ("continued", a_server_that_goes_on_after_a_second_leads_to_time_wait),
        ("fin_again", a_repeated_fin_starts_the_timer_again_but_not_the_clock),
        ("fin_again_soon", a_repeated_fin_within_the_timers_bucket_is_told_too),
    ]);
}

fn end(watch: Watch) -> Log {
    watch.wait_within(Duration::from_secs(75), "the end of TIME_WAIT", |lines| {
        lines.iter().any(|line| line.is("TIME_WAIT>CLOSED")).then_some(())
    });
    watch.stop()
}

fn a_minute(life: &Life) {
    assert_eq!(life.reason(), "timer");
    lasts(life.seconds_in("TIME_WAIT"), 60);
    came_as_predicted(life, "TIME_WAIT");
    assert!(life.is_complete(), "{life}");
}

/// A connection whose client closes first.
fn close(netns: &Netns, address: &str) -> (SocketAddr, SocketAddr) {
    netns.inside(|| {
        let pair = Pair::over(&TcpListener::bind(address).unwrap());
        let ends = pair.ends();
        pair.close_client_first();
        ends
    })
}

fn ordinary(address: &str) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let witness = Witness::start(&netns, Duration::from_millis(100));
    let (client, server) = close(&netns, address);
    watch.wait_within(Duration::from_secs(75), "the end of TIME_WAIT", |lines| {
        lines.iter().any(|line| line.is("TIME_WAIT>CLOSED")).then_some(())
    });
    let looks = witness.stop();
    let log = watch.stop();
    let ours = life(&log.lines, client, server);
    assert_eq!(ours.path(), CLIENT);
    a_minute(&ours);
    assert_eq!(log.summary.open, 0);
    // Each query is a process of its own: six hundred in a minute, fewer on a busy machine.
    let seen = agree(&looks, &lives(&log.lines));
    assert!(seen > 100, "seen all the time: {seen} agreements");
}

fn the_owner_of_a_time_wait_is_the_process_that_had_the_socket() {
    let netns = Netns::new();
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let watch = Watch::on(&netns);
    let listening = server.listen("127.0.0.1:0");
    let connected = client.connect(listening);
    server.accept();
    let owner = server.pid();
    server.close();
    client.await_fin();
    client.kill();
    server.kill();
    let log = end(watch);
    let theirs = life(&log.lines, listening, connected);
    a_minute(&theirs);
    for line in &theirs.lines {
        let process = line.process.as_ref().unwrap_or_else(|| panic!("an owner: {theirs}"));
        assert_eq!((process.pid, process.comm.as_str()), (owner, "a-server"), "{theirs}");
    }
    assert_eq!(
        listener_life(&log.lines, listening).owner().map(|process| process.pid),
        Some(owner)
    );
}

fn closing_leads_to_time_wait() {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let address = "127.0.0.1:11111".parse().unwrap();
    netns.inside(|| drop(connect_from(address, address)));
    let log = end(watch);
    let own = life(&log.lines, address, address);
    let path = "CLOSED SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT_1 CLOSING TIME_WAIT CLOSED";
    assert_eq!(own.path(), path);
    a_minute(&own);
}

fn an_old_time_wait_is_told_to_end() {
    let netns = Netns::new();
    let (client, server) = close(&netns, V4);
    let_pass(Duration::from_secs(1));
    let watch = Watch::on(&netns);
    let log = end(watch);
    let ours = life(&log.lines, client, server);
    assert_eq!((ours.path().as_str(), ours.reason()), ("TIME_WAIT CLOSED", "timer"));
    // The timer gives the time of the entry.
    if let Some(took) = ours.lines[0].in_state_s {
        println!("measured: TIME_WAIT {took:.4} s, older than tcpwatch");
        lasts(took, 60);
    }
    assert_eq!(log.summary.open, 0);
}

fn a_server_that_goes_on_after_a_second_leads_to_time_wait() {
    let netns = Netns::with(&[("ipv4.tcp_fin_timeout", "3")]);
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let watch = Watch::on(&netns);
    let listening = server.listen("127.0.0.1:0");
    let connected = client.connect(listening);
    server.accept();
    server.signal(Signal::STOP);
    let owner = client.pid();
    client.kill();
    watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
    let_pass(Duration::from_secs(1));
    server.signal(Signal::CONT);
    server.await_fin();
    server.close();
    let log = end(watch);
    let ours = life(&log.lines, connected, listening);
    assert_eq!(ours.path(), CLIENT);
    let waited = ours.seconds_in("FIN_WAIT_2");
    assert!((1.0..1.5).contains(&waited), "{ours}");
    a_minute(&ours);
    assert_eq!(ours.owner().map(|process| process.pid), Some(owner), "{ours}");
}

/// TIME_WAIT whose peer does not receive the last ACK and retransmits its FIN until `enough`.
fn fin_again(enough: fn(&Watch)) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let pair = netns.inside(|| Pair::over(&TcpListener::bind(V4).unwrap()));
    let (client, server) = pair.ends();
    let mut deaf = pair.server;
    drop(pair.client);
    assert_eq!(deaf.read(&mut [0]).unwrap(), 0, "the client's FIN");
    lose_all(&deaf);
    half_close(&deaf);
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    enough(&watch);
    lose_nothing(&deaf);
    let log = end(watch);

    let (ours, theirs) = (life(&log.lines, client, server), life(&log.lines, server, client));
    assert_eq!((ours.path().as_str(), ours.reason()), (CLIENT, "timer"));
    let mut restarts: Vec<_> = log.lines.iter().filter(|line| line.event == "restart").collect();
    restarts.sort_by_key(|line| line.mono_ns);
    let last = restarts.last().unwrap_or_else(|| panic!("a restart:\n{ours}"));
    for restart in &restarts {
        println!("measured: {restart}");
        assert_eq!(restart.state, "TIME_WAIT");
        let passed = seconds(ours.entered("TIME_WAIT").mono_ns, restart.mono_ns);
        assert!(
            (restart.in_state_s.unwrap() - passed).abs() < 1e-6,
            "the clock goes on: {restart}"
        );
    }
    // The FIN that finally arrived is the one whose ACK did.
    let heard = theirs.entered("CLOSED").mono_ns;
    let apart = Duration::from_nanos(last.mono_ns.abs_diff(heard));
    assert!(apart < Duration::from_millis(10), "{apart:?} from the end of LAST_ACK: {last}");
    lasts(seconds(last.mono_ns, ours.entered("CLOSED").mono_ns), 60);
    let took = ours.seconds_in("TIME_WAIT");
    println!("measured: TIME_WAIT {took:.4} s with {} restarts reported", restarts.len());
    assert_eq!(log.summary.open, 0);
}

fn a_repeated_fin_starts_the_timer_again_but_not_the_clock() {
    fin_again(|watch| watch.wait_count(1, "a restart", |line| line.event == "restart"));
}

fn a_repeated_fin_within_the_timers_bucket_is_told_too() {
    fin_again(|_| {});
}
