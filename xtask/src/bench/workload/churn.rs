//! Complete connections over loopback, one after the other, each closed in the ordinary way by the client first.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::lap::{TimedWork, laps};

/// Changes in the life of one connection. The client: SYN_SENT, ESTABLISHED, FIN_WAIT_1,
/// FIN_WAIT_2, CLOSED. The server: SYN_RECV, ESTABLISHED, CLOSE_WAIT, LAST_ACK, CLOSED.
pub(crate) const TRANSITIONS: u32 = 10;
const CONNECTIONS_IN_A_LAP: u32 = 100;
/// Number of addresses that are connected to in turn. Up to 200,000 connections per second, a client port of theirs is
/// not reused within the second after which the kernel allows it (`tcp_tw_reuse_delay`), and all of them in TIME_WAIT
/// are fewer than a tool may be able to track.
const HOSTS: u8 = 8;

/// Clients and the server that they connect to.
#[derive(Debug)]
pub(crate) struct ConnectionChurn {
    listener: TcpListener,
    port: u16,
    hosts: std::iter::Cycle<std::ops::RangeInclusive<u8>>,
}

impl ConnectionChurn {
    /// Listens in the network namespace of this thread; on any free port if `port` is 0.
    pub(crate) fn new(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .context("cannot listen for the churn")?;
        let port = listener.local_addr().context("the listener has no address")?.port();
        Ok(Self { listener, port, hosts: (1..=HOSTS).cycle() })
    }

    fn connect_and_close(&mut self) -> io::Result<()> {
        // Every address has a full range of client ports.
        let host = self.hosts.next().unwrap_or(1);
        let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, host], self.port)))?;
        let (server, _) = self.listener.accept()?;
        drop(client);
        drop(server);
        Ok(())
    }

    /// Makes connections as fast as possible for this long.
    pub(crate) fn run(&mut self, length: Duration) -> Result<TimedWork> {
        laps(length, CONNECTIONS_IN_A_LAP, TRANSITIONS, || self.connect_and_close())
            .context("the connection churn failed")
    }

    /// Makes this number of connections, one every `interval`.
    pub(crate) fn pace(&mut self, connections: u32, interval: Duration) -> Result<()> {
        let start = Instant::now();
        for number in 0..connections {
            let next = start + interval * number;
            sleep(next.saturating_duration_since(Instant::now()));
            self.connect_and_close().context("the connection churn failed")?;
        }
        Ok(())
    }
}
