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
    http, needs_packages, nginx, postgresql,
    system::{NOBODY, ROOT},
};
use crate::harness::{let_pass, netns::Netns, poll_within, program};

/// How long the load lasts, in seconds, unless the environment says more.
const SECONDS: u64 = 20;
/// Clients at a time.
const CLIENTS: usize = 4;
/// Connections that stay, as those of a pool.
const POOL: usize = 20;

#[test]
fn nginx_and_postgresql_under_load_have_no_findings() {
    needs_packages!();
    let seconds = env::var("TCPWATCH_BUSY_SECONDS").map_or(SECONDS, |word| word.parse().unwrap());
    let nginx = nginx::installed();
    busy(
        seconds,
        &Talk { name: "nginx", connections: 0, ask: http::ask, end: http::end },
        |netns| nginx.start(netns, ROOT, &nginx::PROGRAM),
    );
    let (system, server) = postgresql::installed();
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    let talk =
        Talk { name: "postgresql", connections: 0, ask: postgresql::ask, end: postgresql::end };
    busy(seconds, &talk, |netns| system.start(netns, NOBODY, &server));
}

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
        netns.inside(|| keep_a_pool(talk, at, until));
    });
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("measured: {}: {}", talk.name, text.lines().nth(1).unwrap_or_default());
    assert_eq!(output.status.code(), Some(0), "{}:\n{text}", talk.name);
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
