//! What one visit to a network namespace found.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tcpwatch_core::event::{KnownKind, TcpState};
use tcpwatch_kernel::source::{
    kept_namespaces::KeptNamespace,
    local_ports::LocalPorts,
    snapshot::{Detail, DumpError, Surveyed},
};

use super::{
    accept_queues::ListenerReading,
    counters::{self, CounterValues},
    destinations::{DestinationUse, Destinations},
};
use crate::catalog::OF_CONNECTIONS;

/// A namespace cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadingError {
    /// Its counters.
    #[error("cannot read its netstat: {0}")]
    Netstat(#[from] io::Error),
    /// Its sockets.
    #[error(transparent)]
    Sockets(#[from] DumpError),
}

/// The numbers of one namespace.
#[derive(Debug)]
pub(super) struct NamespaceReading {
    pub(super) label: Arc<str>,
    pub(super) name: Option<String>,
    pub(super) cgroup: Option<Arc<str>>,
    pub(super) at: SystemTime,
    pub(super) counters: CounterValues,
    /// Of a namespace that was entered.
    pub(super) sockets: Option<SocketReading>,
}

/// The numbers that its sockets give.
#[derive(Debug)]
pub(super) struct SocketReading {
    pub(super) listeners: Vec<ListenerReading>,
    /// Of a namespace whose turn has come.
    pub(super) connections: Option<ConnectionReading>,
}

/// The numbers that its connections give.
#[derive(Debug)]
pub(super) struct ConnectionReading {
    /// Timewait mini-sockets.
    pub(super) waiting: u32,
    /// `tcp_max_tw_buckets`.
    pub(super) most_waiting: Option<u32>,
    /// Ports that `connect()` may choose.
    pub(super) ports: Option<u32>,
    /// Whether it may take one that is in TIME_WAIT, on loopback and elsewhere.
    pub(super) reuse: Reuse,
    /// The busiest destinations, the busiest one first.
    pub(super) busiest: Vec<DestinationUse>,
    /// All of them.
    pub(super) destinations: usize,
    /// Ports to all of them.
    pub(super) taken: u32,
    /// When the list was complete, also as Unix time.
    pub(super) listed: Instant,
    pub(super) at: SystemTime,
    /// How long listing them took.
    pub(super) took: Duration,
}

/// To which destinations a port in TIME_WAIT can be taken again after a second (`tcp_twsk_unique`,
/// `net/ipv4/tcp_ipv4.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// To none.
    Never,
    /// To those on loopback.
    Loopback,
    /// To all.
    Always,
}

impl Reuse {
    /// From the texts of `tcp_tw_reuse` and `tcp_timestamps`.
    fn of(reuse: Option<&str>, timestamps: Option<&str>) -> Self {
        let timestamps = timestamps.is_none_or(|text| text.trim() != "0");
        match reuse.map(str::trim) {
            Some("1") if timestamps => Self::Always,
            Some("2") if timestamps => Self::Loopback,
            _ => Self::Never,
        }
    }
}

impl NamespaceReading {
    /// Reads it now; `None` if it has gone. Without `lists` its connections are those of an earlier list.
    pub(super) fn of(
        namespace: &mut KeptNamespace,
        (lists, earlier): (bool, Option<ConnectionReading>),
    ) -> Result<Option<Self>, ReadingError> {
        let at = SystemTime::now();
        let Some(netstat) = namespace.netstat()? else { return Ok(None) };
        let counters = counters::values(&netstat);
        let sockets = SocketReading::of(namespace, (lists, earlier))?;
        Ok(Some(Self {
            label: Arc::clone(&namespace.label),
            name: namespace.name.clone(),
            cgroup: namespace.cgroup.clone(),
            at,
            counters,
            sockets,
        }))
    }
}

impl NamespaceReading {
    /// What its connections give, if they have been listed.
    pub(super) fn connections(&self) -> Option<&ConnectionReading> {
        self.sockets.as_ref()?.connections.as_ref()
    }

    /// The same; it is without them then.
    pub(super) fn take_connections(&mut self) -> Option<ConnectionReading> {
        self.sockets.as_mut()?.connections.take()
    }
}

/// What is counted while connections are listed.
#[derive(Default)]
struct ConnectionTally {
    waiting: u32,
    destinations: Destinations,
}

impl SocketReading {
    fn of(
        namespace: &mut KeptNamespace,
        (lists, earlier): (bool, Option<ConnectionReading>),
    ) -> Result<Option<Self>, DumpError> {
        let Some(surveyor) = namespace.surveyor() else { return Ok(None) };
        let add = |into: &mut Vec<_>, socket: &Surveyed| into.push(ListenerReading::of(socket));
        let listeners = surveyor.survey(&[TcpState::Listen], Detail::Drops, add)?;
        let connections = if lists { ConnectionReading::of(namespace)? } else { earlier };
        Ok(Some(Self { listeners, connections }))
    }
}

impl ConnectionReading {
    fn of(namespace: &mut KeptNamespace) -> Result<Option<Self>, DumpError> {
        let began = Instant::now();
        let sysctl = |name| namespace.sysctl(name);
        let reserved = sysctl("ip_local_reserved_ports").unwrap_or_default();
        let ports =
            sysctl("ip_local_port_range").and_then(|range| LocalPorts::parse(&range, &reserved));
        let most_waiting = sysctl("tcp_max_tw_buckets").and_then(|text| text.trim().parse().ok());
        let reuse =
            Reuse::of(sysctl("tcp_tw_reuse").as_deref(), sysctl("tcp_timestamps").as_deref());
        let Some(surveyor) = namespace.surveyor() else { return Ok(None) };
        let add = |into: &mut ConnectionTally, socket: &Surveyed| {
            into.waiting += u32::from(socket.kind == KnownKind::TimeWait);
            if let Some(ports) = &ports {
                into.destinations.add(socket, ports);
            }
        };
        let tally = surveyor.survey(&OF_CONNECTIONS, Detail::Plain, add)?;
        let ConnectionTally { waiting, destinations } = tally;
        Ok(Some(Self {
            waiting,
            most_waiting,
            ports: ports.map(|ports| ports.size()),
            reuse,
            taken: destinations.taken(),
            destinations: destinations.len(),
            busiest: destinations.busiest(),
            listed: Instant::now(),
            at: SystemTime::now(),
            took: began.elapsed(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_time_wait_can_be_taken_again_where_the_sysctls_say_so() {
        for (reuse, timestamps, expected) in [
            (Some("0\n"), Some("1\n"), Reuse::Never),
            (Some("1\n"), Some("1\n"), Reuse::Always),
            (Some("2\n"), None, Reuse::Loopback),
            (Some("1\n"), Some("0\n"), Reuse::Never),
            (None, None, Reuse::Never),
        ] {
            assert_eq!(Reuse::of(reuse, timestamps), expected, "{reuse:?} {timestamps:?}");
        }
    }
}
