//! Which socket: cookie, namespace, endpoints, and who connected to whom.

use serde::{Deserialize, Serialize};

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// The kernel's number for a socket, unique until reboot; `ss -e` prints it after `sk:` in
/// hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cookie(pub u64);

/// Inode of a network namespace, as in `readlink /proc/PID/ns/net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Netns(pub u32);

/// An address and a port in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address; unspecified when there is none.
    pub address: IpAddr,
    /// Port; 0 when there is none, or none yet.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// `192.0.2.1:80`, `[2001:db8::1]:80`; `*` for an end that does not exist.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == 0 && self.address.is_unspecified() {
            return f.write_str("*");
        }
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Both ends of a socket, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoints {
    /// This end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
}

/// Who connected to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// This end called `connect()`.
    Outgoing,
    /// The peer connected to this end's listener.
    Incoming,
    /// Both ends connected to each other at once.
    Both,
}
