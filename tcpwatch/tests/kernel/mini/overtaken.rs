//! TIME_WAIT and FIN_WAIT_2 that end before their time.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use crate::harness::{
    kernel::TW_REUSE_DELAY,
    let_pass,
    lives::{Life, life, lives_between, transcript},
    netns::Netns,
    segment::{ACK, RST, Segment, Wire},
    sockets::{self, Pair, V4, V6, connect_from},
    watch::{Log, Watch},
};

const CLOSED_FIRST: &str = "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED";

fn closed(log: &Log, client: SocketAddr, server: SocketAddr) -> Life {
    let ours = life(&log.lines, client, server);
    assert_eq!(ours.path(), CLOSED_FIRST);
    ours
}

/// A connection of `netns` whose client is in TIME_WAIT.
fn time_wait(netns: &Netns, watch: &Watch, address: &str) -> (SocketAddr, SocketAddr) {
    let ends = netns.inside(|| {
        let pair = Pair::over(&TcpListener::bind(address).unwrap());
        let ends = pair.ends();
        pair.close_client_first();
        ends
    });
    watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
    ends
}

fn end(watch: Watch) -> Log {
    watch.wait_count(1, "the end of TIME_WAIT", |line| line.is("TIME_WAIT>CLOSED"));
    watch.stop()
}

#[test]
fn a_time_wait_that_an_administrator_destroys_ends_killed() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (client, server) = time_wait(&netns, &watch, address);
        netns.run("ss --kill --tcp state time-wait");
        let log = end(watch);
        assert_eq!(closed(&log, client, server).reason(), "killed");
        assert_eq!(log.summary.open, 0);
    }
}

#[test]
fn a_time_wait_whose_namespace_goes_away_ends_netns_gone() {
    needs_root!();
    for address in [V4, V6] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (client, server) = time_wait(&netns, &watch, address);
        drop(netns);
        let log = end(watch);
        assert_eq!(closed(&log, client, server).reason(), "netns_gone");
        assert_eq!(log.summary.open, 0);
    }
}

#[test]
fn a_syn_from_the_same_port_takes_over_a_time_wait() {
    needs_root!();
    for address in ["127.0.0.1:7001", "[::1]:7001"] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (client, server) = netns.inside(|| {
            let listener = TcpListener::bind(address).unwrap();
            let pair = Pair::over(&listener);
            let (client, server) = pair.ends();
            pair.close_server_first();
            let again = connect_from(client, server);
            drop((again, listener.accept().unwrap()));
            (client, server)
        });
        watch.wait_count(2, "two ends", |line| {
            line.is("TIME_WAIT>CLOSED") || line.is("LAST_ACK>CLOSED")
        });
        watch.wait_count(1, "the end of TIME_WAIT", |line| line.is("TIME_WAIT>CLOSED"));
        let log = watch.stop();
        let theirs = lives_between(&log.lines, server, client);
        let said = transcript(&theirs);
        assert_eq!(theirs.len(), 2, "one after the other:\n{said}");
        let path = "LISTEN SYN_RECV ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT CLOSED";
        assert_eq!(theirs[0].path(), path, "{said}");
        assert_eq!(theirs[0].reason(), "reused", "{said}");
        assert!(theirs[1].path().starts_with("LISTEN SYN_RECV ESTABLISHED"), "{said}");
    }
}

#[test]
fn a_connect_from_a_bound_port_takes_over_a_time_wait() {
    needs_root!();
    for address in ["127.0.0.1:7001", "[::1]:7001"] {
        let netns = Netns::new();
        let watch = Watch::on(&netns);
        let (client, server) = netns.inside(|| {
            let listener = TcpListener::bind(address).unwrap();
            let server = listener.local_addr().unwrap();
            let client = SocketAddr::new(server.ip(), 40001);
            let first = connect_from(client, server);
            Pair { client: first, server: listener.accept().unwrap().0 }.close_client_first();
            drop(connect_from(client, server));
            (client, server)
        });
        taken_over(watch, client, server);
    }
}

#[test]
fn a_connect_that_finds_no_other_port_takes_over_a_time_wait() {
    needs_root!();
    for address in ["127.0.0.1:7001", "[::1]:7001"] {
        let netns =
            Netns::with(&[("ipv4.tcp_tw_reuse", "1"), ("ipv4.ip_local_port_range", "45000 45000")]);
        // Since 6.14; older kernels require a second.
        let needed = if netns.set("ipv4.tcp_tw_reuse_delay", "1").is_ok() {
            Duration::from_millis(20)
        } else {
            TW_REUSE_DELAY.is_lacking();
            Duration::from_millis(1100)
        };
        let watch = Watch::on(&netns);
        let (client, server) = netns.inside(|| {
            let listener = TcpListener::bind(address).unwrap();
            let pair = Pair::over(&listener);
            let ends = pair.ends();
            pair.close_client_first();
            let_pass(needed);
            let again = Pair::over(&listener);
            assert_eq!(again.ends(), ends, "the only port");
            ends
        });
        taken_over(watch, client, server);
    }
}

fn taken_over(watch: Watch, client: SocketAddr, server: SocketAddr) {
    let log = end(watch);
    let ours = lives_between(&log.lines, client, server);
    let said = transcript(&ours);
    assert_eq!(ours.len(), 2, "one after the other:\n{said}");
    assert_eq!((ours[0].path().as_str(), ours[0].reason()), (CLOSED_FIRST, "reused"), "{said}");
    assert!(ours[1].path().starts_with("CLOSED SYN_SENT ESTABLISHED"), "{said}");
}

#[test]
fn a_reset_in_time_wait_ends_it() {
    needs_root!();
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let wire = netns.inside(Wire::tap);
    let (client, server) = time_wait(&netns, &watch, V4);
    let fin = wire.fin_from(server);
    wire.send(Segment { seq: fin.seq.wrapping_add(1), flags: RST | ACK, ..fin });
    let log = end(watch);
    assert_eq!(closed(&log, client, server).reason(), "reset_received");
}

#[test]
fn a_reset_in_an_orphans_fin_wait_2_ends_it() {
    needs_root!();
    for address in [V4, V6] {
        orphan(address, "reset_received", sockets::reset);
    }
}

#[test]
fn data_for_an_orphan_in_fin_wait_2_is_answered_with_a_reset() {
    needs_root!();
    for address in [V4, V6] {
        orphan(address, "reset_sent", |mut server| {
            server.write_all(b"too late").unwrap();
            drop(server);
        });
    }
}

fn orphan(address: &str, reason: &str, act: fn(std::net::TcpStream)) {
    let netns = Netns::new();
    let watch = Watch::on(&netns);
    let Pair { client, server } = netns.inside(|| Pair::over(&TcpListener::bind(address).unwrap()));
    let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    drop(client);
    watch.wait_count(1, "FIN_WAIT_2", |line| line.to == "FIN_WAIT_2");
    act(server);
    watch.wait_count(1, "the end of FIN_WAIT_2", |line| line.is("FIN_WAIT_2>CLOSED"));
    let log = watch.stop();
    let ours = life(&log.lines, from, to);
    let path = "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 CLOSED";
    assert_eq!((ours.path().as_str(), ours.reason()), (path, reason));
}
