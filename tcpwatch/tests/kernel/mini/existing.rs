//! Mini-sockets that are older than tcpwatch.

use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

use tcpwatch_core::event::{self, TcpState};
use tcpwatch_kernel::source::snapshot::{self, FindOwners, SnapshotScope};

use crate::harness::{
    lives::life,
    netns::Netns,
    sockets::{Pair, V4, V6, lose_acks},
    watch::Watch,
};

/// The longest time limit below, plus the lateness of the timer wheel.
const LONG: Duration = Duration::from_secs(30);

/// Sets up a situation again and again, longer each time, until it outlives the start of tcpwatch: how long that takes
/// depends on the machine.
fn older<T>(state: TcpState, patience: &[&str], scene: impl Fn(&Netns, &str) -> T) -> (Watch, T) {
    for long in patience {
        let netns = Netns::new();
        let ends = scene(&netns, long);
        let watch = Watch::on(&netns);
        let seen = snapshot::take(SnapshotScope::Only(event::Netns(netns.inode)), FindOwners::Skip)
            .unwrap();
        if seen.sockets.iter().any(|socket| socket.state == state) {
            watch.wait_within(LONG, "its end", |lines| {
                lines.iter().any(|line| line.to == "CLOSED").then_some(())
            });
            return (watch, ends);
        }
    }
    panic!("no {state:?} of {patience:?} outlives the start of tcpwatch");
}

#[test]
fn an_old_orphan_in_fin_wait_2_is_told_to_end() {
    needs_root!();
    for address in [V4, V6] {
        let (watch, (client, server, _open)) =
            older(TcpState::FinWait2, &["1", "4", "16"], |netns, seconds| {
                netns.set("ipv4.tcp_fin_timeout", seconds).unwrap();
                let pair = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
                let (client, server) = pair.ends();
                drop(pair.client);
                (client, server, pair.server)
            });
        let log = watch.stop();
        let ours = life(&log.lines, client, server);
        assert_eq!((ours.path().as_str(), ours.reason()), ("FIN_WAIT_2 CLOSED", "timer"));
        assert_eq!(ours.lines[0].in_state_s, None, "its beginning is unknown: {ours}");
    }
}

#[test]
fn an_old_half_open_connection_is_told_to_be_given_up() {
    needs_root!();
    for address in [V4, V6] {
        let (watch, (listener, client)) =
            older(TcpState::SynRecv, &["1", "2", "3"], |netns, retries| {
                netns.set("ipv4.tcp_synack_retries", retries).unwrap();
                let listener = netns.inside(|| TcpListener::bind(address).unwrap());
                lose_acks(&listener);
                let listening = listener.local_addr().unwrap();
                let client = netns.inside(|| TcpStream::connect(listening).unwrap());
                (listener, client)
            });
        let log = watch.stop();
        let listening = listener.local_addr().unwrap();
        let theirs = life(&log.lines, listening, client.local_addr().unwrap());
        assert_eq!((theirs.path().as_str(), theirs.reason()), ("SYN_RECV CLOSED", "timed_out"));
        assert_eq!(theirs.lines[0].in_state_s, None, "its beginning is unknown: {theirs}");
        assert_eq!(theirs.direction(), Some("incoming"));
    }
}

#[test]
fn an_old_half_open_connection_goes_on_to_be_established() {
    needs_root!();
    let netns = Netns::new();
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let listening = listener.local_addr().unwrap();
    lose_acks(&listener);
    let client = netns.inside(|| TcpStream::connect(listening).unwrap());
    let watch = Watch::on(&netns);
    crate::harness::sockets::lose_nothing(&listener);
    watch.wait_count(1, "the handshake", |line| line.is("SYN_RECV>ESTABLISHED"));
    let (server, _) = listener.accept().unwrap();
    Pair { client, server }.close_server_first();
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    let log = watch.stop();
    let closing: Vec<_> = log
        .lines
        .iter()
        .filter(|line| line.is_state() && line.local == Some(listening.into()))
        .collect();
    assert_eq!(closing[0].change(), "SYN_RECV>ESTABLISHED", "{closing:?}");
    assert_eq!(closing[0].in_state_s, None, "{closing:?}");
}

#[test]
fn an_old_time_wait_that_is_taken_over_is_told_to_end() {
    needs_root!();
    let netns = Netns::new();
    let (client, server) = netns.inside(|| {
        let pair = Pair::over(&TcpListener::bind(V4).unwrap());
        let ends = pair.ends();
        pair.close_client_first();
        ends
    });
    let watch = Watch::on(&netns);
    netns.run("ss --kill --tcp state time-wait");
    watch.wait_count(1, "its end", |line| line.is("TIME_WAIT>CLOSED"));
    let log = watch.stop();
    let ours = life(&log.lines, client, server);
    assert_eq!((ours.path().as_str(), ours.reason()), ("TIME_WAIT CLOSED", "killed"));
    assert_eq!(log.summary.open, 0);
}
