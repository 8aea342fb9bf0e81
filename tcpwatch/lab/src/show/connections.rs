//! Numbers the connections of a run.

use tcpwatch_core::event::{Cookie, Endpoints};

use super::grid::PerHost;
use crate::host::Host;

/// The client's and the server's port. A port is 0 while the kernel has not chosen it: `connect()` enters SYN_SENT before
/// (`tcp_v4_connect`, `net/ipv4/tcp_ipv4.c`).
type PortPair = (u16, u16);

#[derive(Debug)]
struct NumberedConnection {
    ports: PortPair,
    cookies: PerHost<Option<Cookie>>,
}

/// The connections so far, in the order in which they appeared.
#[derive(Debug, Default)]
pub(super) struct Connections {
    known: Vec<NumberedConnection>,
}

impl Connections {
    /// The number, from 1, of the connection that an event on `host` is about, by its socket or else by its ports.
    /// `None` for listeners.
    pub(super) fn number(
        &mut self,
        host: Host,
        socket: Option<Cookie>,
        ends: &Endpoints,
    ) -> Option<usize> {
        let (local, remote) = (ends.local.port, ends.remote.port);
        if remote == 0 {
            return None;
        }
        let ports = match host {
            Host::Client => (local, remote),
            Host::Server => (remote, local),
        };
        let index = self.find(host, socket, ports).unwrap_or_else(|| {
            self.known.push(NumberedConnection { ports, cookies: PerHost::default() });
            self.known.len() - 1
        });
        let known = self.known.get_mut(index)?;
        if is_chosen(ports) {
            known.ports = ports;
        }
        let cookie = known.cookies.of_mut(host);
        *cookie = cookie.or(socket);
        Some(index + 1)
    }

    fn find(&self, host: Host, socket: Option<Cookie>, ports: PortPair) -> Option<usize> {
        let mut known = self.known.iter();
        let is_free =
            |known: &NumberedConnection| socket.is_none() || known.cookies.of(host).is_none();
        known
            .position(|known| socket.is_some() && *known.cookies.of(host) == socket)
            .or_else(|| {
                let same = |known: &NumberedConnection| is_chosen(ports) && known.ports == ports;
                self.known.iter().position(same)
            })
            // The first that has no port yet.
            .or_else(|| {
                let fits = |known: &NumberedConnection| {
                    !is_chosen(known.ports) && is_like(known.ports, ports) && is_free(known)
                };
                self.known.iter().position(fits).filter(|_| is_chosen(ports))
            })
    }

    /// The number of connections so far.
    pub(super) const fn count(&self) -> usize {
        self.known.len()
    }
}

const fn is_chosen((client, server): PortPair) -> bool {
    client != 0 && server != 0
}

/// Whether a port that is not chosen yet may become that of the other.
const fn is_like(before: PortPair, after: PortPair) -> bool {
    (before.0 == 0 || before.0 == after.0) && (before.1 == 0 || before.1 == after.1)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tcpwatch_core::event::Endpoint;

    use super::*;

    fn ends(local: u16, remote: u16) -> Endpoints {
        let end = |port| Endpoint { address: Ipv4Addr::LOCALHOST.into(), port };
        Endpoints { local: end(local), remote: end(remote) }
    }

    #[test]
    fn a_connection_keeps_its_number_when_its_port_is_chosen() {
        let mut connections = Connections::default();
        let socket = Some(Cookie(7));
        assert_eq!(connections.number(Host::Client, socket, &ends(0, 80)), Some(1));
        assert_eq!(connections.number(Host::Server, None, &ends(80, 4000)), Some(1));
        assert_eq!(connections.number(Host::Client, socket, &ends(4000, 80)), Some(1));
        assert_eq!(connections.count(), 1);
    }

    #[test]
    fn a_socket_is_known_by_its_cookie_before_its_ports() {
        let mut connections = Connections::default();
        let (first, second) = (Some(Cookie(7)), Some(Cookie(8)));
        assert_eq!(connections.number(Host::Client, first, &ends(0, 80)), Some(1));
        assert_eq!(connections.number(Host::Client, second, &ends(0, 80)), Some(2));
        assert_eq!(connections.number(Host::Client, second, &ends(4001, 80)), Some(2));
        assert_eq!(connections.number(Host::Client, first, &ends(4000, 80)), Some(1));
        assert_eq!(connections.number(Host::Server, None, &ends(80, 4001)), Some(2));
    }

    #[test]
    fn listeners_have_no_number() {
        assert_eq!(Connections::default().number(Host::Server, None, &ends(80, 0)), None);
    }
}
