//! Short connections over loopback at a fixed rate, each closed by the client first, with a fixed number of sockets in
//! `TIME_WAIT`: the kernel's limit.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Connections per second.
pub(super) const RATE: u32 = 10_000;
/// Sockets in `TIME_WAIT`.
pub(super) const TIME_WAITS: u32 = 100_000;

const LIMIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";
/// Socket statistics of the network namespace of this thread.
const SOCKSTAT: &str = "/proc/thread-self/net/sockstat";
/// Number of server addresses: the ports towards each must suffice for all sockets in `TIME_WAIT`.
const HOSTS: u8 = 16;
/// Time limit for the sockets in `TIME_WAIT` to accumulate. Each lasts for a minute.
const DEADLINE: Duration = Duration::from_mins(1);

/// What the load was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) connections: u32,
    pub(super) length: Duration,
}

/// Makes connections until `stop` is set.
pub(super) fn run(stop: &AtomicBool) -> Result<Load> {
    fs::write(LIMIT, TIME_WAITS.to_string()).with_context(|| format!("cannot set {LIMIT}"))?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot listen")?;
    let port = listener.local_addr().context("the listener has no address")?.port();
    let mut hosts = (1..=HOSTS).cycle();
    let start = Instant::now();
    let mut connections = 0;
    while !stop.load(Ordering::Relaxed) {
        while start.elapsed() >= Duration::from_secs(1) * connections / RATE {
            let host = hosts.next().unwrap_or(1);
            let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, host], port)))
                .context("cannot connect")?;
            let (server, _) = listener.accept().context("cannot accept")?;
            drop(client);
            drop(server);
            connections += 1;
        }
        sleep(Duration::from_millis(1));
    }
    Ok(Load { connections, length: start.elapsed() })
}

/// Returns when nearly all exist; an error if `has_ended` becomes true before.
pub(super) fn await_time_waits(has_ended: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    loop {
        let text =
            fs::read_to_string(SOCKSTAT).with_context(|| format!("cannot read {SOCKSTAT}"))?;
        let there = time_waits(&text).with_context(|| format!("no `tw` in {SOCKSTAT}"))?;
        if there >= TIME_WAITS / 100 * 99 || has_ended() {
            return Ok(());
        }
        if start.elapsed() > DEADLINE {
            bail!("only {there} sockets in TIME_WAIT after {DEADLINE:?}");
        }
        sleep(Duration::from_millis(100));
    }
}

fn time_waits(sockstat: &str) -> Option<u32> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    line.split_whitespace().skip_while(|word| *word != "tw").nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_in_time_wait_are_read() {
        let text = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 99871 alloc 6 mem 0\nUDP: inuse 1\n";
        assert_eq!(time_waits(text), Some(99_871), "the number after `tw`");
        assert_eq!(time_waits("TCP: inuse 5\n"), None, "another format");
    }
}
