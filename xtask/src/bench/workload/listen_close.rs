//! CLOSED to LISTEN and back, as fast as one thread can.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, SockAddr, Socket, Type};

use super::lap::{TimedWork, laps};

/// Changes in one iteration.
const TRANSITIONS: u32 = 2;
/// A lap takes seven milliseconds when nothing is attached: longer than a tool's reader sleeps between two reads, so
/// that each lap contains its share of wakeups.
const ITERATIONS_IN_A_LAP: u32 = 1000;

pub(super) fn run(length: Duration) -> Result<TimedWork> {
    let any_port = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    laps(length, ITERATIONS_IN_A_LAP, TRANSITIONS, || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&any_port)?;
        socket.listen(1)
    })
    .context("the listen/close loop failed")
}
