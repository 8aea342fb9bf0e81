//! Whole lives of connections over loopback, one after the other, each closed in the ordinary way
//! by the client first.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use super::lap::{Work, laps};
use crate::bench::private_net;

/// Changes in the life of one connection. The client: SYN_SENT, ESTABLISHED, FIN_WAIT_1,
/// FIN_WAIT_2, CLOSED. The server: SYN_RECV, ESTABLISHED, CLOSE_WAIT, LAST_ACK, CLOSED.
pub(crate) const TRANSITIONS: u32 = 10;
const CONNECTIONS_IN_A_LAP: u32 = 100;
/// Addresses that are connected to, one after the other. Their client ports last for more than the
/// second after which the kernel uses them again (`tcp_tw_reuse_delay`) up to 200,000 connections a
/// second, and all of them in TIME_WAIT are fewer than a tool may be able to remember.
const HOSTS: u8 = 8;

pub(super) fn run(length: Duration) -> Result<Work> {
    private_net::enter()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot listen")?;
    let port = listener.local_addr().context("the listener has no address")?.port();
    // Every address has all client ports of its own.
    let mut hosts = (1..=HOSTS).cycle();
    laps(length, CONNECTIONS_IN_A_LAP, TRANSITIONS, || {
        let host = hosts.next().unwrap_or(1);
        let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, host], port)))?;
        let (server, _) = listener.accept()?;
        drop(client);
        drop(server);
        Ok(())
    })
    .context("the connection churn cannot go on")
}
