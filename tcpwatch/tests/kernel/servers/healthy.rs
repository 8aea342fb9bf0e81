//! Servers that are busy and healthy: `tcpwatch doctor` finds nothing.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::{
    agreement::{PORT, Talk},
    http, needs_packages, nginx, postgresql, redis,
    system::{NOBODY, ROOT},
};
use crate::harness::{let_pass, netns::Netns, poll_within, program};

/// How long the load lasts, in seconds, unless the environment says more.
const SECONDS: u64 = 20;
/// Clients at a time.
const CLIENTS: usize = 4;
/// Of those that come at once.
const BURST: usize = 50;
/// Connections that stay, as those of a pool.
const POOL: usize = 20;

#[test]
fn nginx_postgresql_and_redis_under_load_have_no_findings() {
    needs_packages!();
    let seconds = env::var("TCPWATCH_BUSY_SECONDS").map_or(SECONDS, |word| word.parse().unwrap());
    let nginx = nginx::installed();
    let [postgresql, redis] = [postgresql::installed(), redis::installed()];
    let quiet = |name, ask, end| Talk { name, connections: 0, ask, end };
    thread::scope(|scope| {
        scope.spawn(|| {
            let talk = quiet("nginx", http::ask, http::end);
            busy(seconds, &talk, |netns| nginx.start(netns, ROOT, &nginx::PROGRAM));
        });
        for (talk, (system, server), user) in [
            (quiet("postgresql", postgresql::ask, postgresql::end), postgresql, NOBODY),
            (quiet("redis", redis::ask, redis::end), redis, ROOT),
        ] {
            scope.spawn(move || {
                let server: Vec<&str> = server.iter().map(String::as_str).collect();
                busy(seconds, &talk, |netns| system.start(netns, user, &server));
            });
        }
    });
}

/// Each beside a doctor of its own.
fn busy<T>(seconds: u64, talk: &Talk, start: impl FnOnce(&Netns) -> T) {
    let netns = Netns::new();
    let _server = start(&netns);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    poll_within(Duration::from_mins(1), "a server", || {
        netns.inside(|| TcpStream::connect(at)).ok()
    });
    let mut command = program::tcpwatch();
    let duration = seconds.to_string();
    command.args(["doctor", "--netns", &netns.word(), "-d", &duration]);
    let (child, _stderr) = program::started(&mut command, Stdio::piped());
    let until = Instant::now() + Duration::from_secs(seconds + 2);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| netns.inside(|| talk_until(talk, at, until)));
        }
        scope.spawn(|| netns.inside(|| come_in_bursts(at, until)));
        scope.spawn(|| netns.inside(|| wait_slowly(talk, at, until)));
        netns.inside(|| keep_a_pool(talk, at, until));
    });
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("measured: {}: {}", talk.name, text.lines().nth(1).unwrap_or_default());
    assert_eq!(output.status.code(), Some(0), "{}:\n{text}", talk.name);
}

/// Many connect at once, as after a restart of their pool, and most of them say nothing.
fn come_in_bursts(at: SocketAddr, until: Instant) {
    while Instant::now() < until {
        let clients: Vec<_> = (0..BURST).map(|_| TcpStream::connect(at).unwrap()).collect();
        let_pass(Duration::from_millis(500));
        drop(clients);
        let_pass(Duration::from_secs(3));
    }
}

/// A client that takes its time before it asks and after it was answered.
fn wait_slowly(talk: &Talk, at: SocketAddr, until: Instant) {
    while Instant::now() < until {
        let mut client = TcpStream::connect(at).unwrap();
        let_pass(Duration::from_secs(3));
        (talk.ask)(&mut client);
        let_pass(Duration::from_secs(4));
    }
}

/// One connection after the other, closed by either side.
fn talk_until(talk: &Talk, at: SocketAddr, until: Instant) {
    let mut number = 0;
    while Instant::now() < until {
        let mut client = TcpStream::connect(at).unwrap();
        if number % 2 == 0 {
            (talk.end)(authenticated(talk, client));
        } else {
            (talk.ask)(&mut client);
            drop(client);
        }
        number += 1;
    }
}

/// Ready for what ends a connection: a session of a database has to be begun.
fn authenticated(talk: &Talk, mut client: TcpStream) -> TcpStream {
    if talk.name == "postgresql" {
        (talk.ask)(&mut client);
    }
    client
}

/// Connections that are idle most of the time.
fn keep_a_pool(talk: &Talk, at: SocketAddr, until: Instant) {
    let mut pool: Vec<TcpStream> = (0..POOL).map(|_| TcpStream::connect(at).unwrap()).collect();
    for client in &mut pool {
        (talk.ask)(client);
    }
    while Instant::now() < until {
        let_pass(Duration::from_millis(100));
    }
    for client in pool {
        (talk.end)(client);
    }
}
