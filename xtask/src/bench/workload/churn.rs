//! Whole lives of connections over loopback, one after the other, each closed in the ordinary way
//! by the client first.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::lap::{Work, laps};

/// Changes in the life of one connection. The client: SYN_SENT, ESTABLISHED, FIN_WAIT_1,
/// FIN_WAIT_2, CLOSED. The server: SYN_RECV, ESTABLISHED, CLOSE_WAIT, LAST_ACK, CLOSED.
pub(crate) const TRANSITIONS: u32 = 10;
const CONNECTIONS_IN_A_LAP: u32 = 100;
/// Addresses that are connected to, one after the other. Their client ports last for more than the
/// second after which the kernel uses them again (`tcp_tw_reuse_delay`) up to 200,000 connections a
/// second, and all of them in TIME_WAIT are fewer than a tool may be able to remember.
const HOSTS: u8 = 8;

/// Clients and the server that they connect to.
#[derive(Debug)]
pub(crate) struct Churn {
    listener: TcpListener,
    port: u16,
    hosts: std::iter::Cycle<std::ops::RangeInclusive<u8>>,
}

impl Churn {
    /// Listens in the network namespace of this thread; on any port that is free, if it is 0.
    pub(crate) fn new(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .context("cannot listen for the churn")?;
        let port = listener.local_addr().context("the listener has no address")?.port();
        Ok(Self { listener, port, hosts: (1..=HOSTS).cycle() })
    }

    fn connect_and_close(&mut self) -> io::Result<()> {
        // Every address has all client ports of its own.
        let host = self.hosts.next().unwrap_or(1);
        let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, host], self.port)))?;
        let (server, _) = self.listener.accept()?;
        drop(client);
        drop(server);
        Ok(())
    }

    /// As fast as it goes.
    pub(crate) fn run(&mut self, length: Duration) -> Result<Work> {
        laps(length, CONNECTIONS_IN_A_LAP, TRANSITIONS, || self.connect_and_close())
            .context("the connection churn cannot go on")
    }

    /// So many connections, one every `interval`.
    pub(crate) fn pace(&mut self, connections: u32, interval: Duration) -> Result<()> {
        let start = Instant::now();
        for number in 0..connections {
            let next = start + interval * number;
            sleep(next.saturating_duration_since(Instant::now()));
            self.connect_and_close().context("the connection churn cannot go on")?;
        }
        Ok(())
    }
}
