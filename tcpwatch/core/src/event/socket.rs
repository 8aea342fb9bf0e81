//! Which socket: cookie, namespace, endpoints, and who connected to whom.

use serde::{Deserialize, Serialize};

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
};

/// The kernel's number for a socket, unique until reboot; `ss -e` prints it after `sk:` in
/// hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Cookie(pub u64);

/// Inode of a network namespace, as in `readlink /proc/PID/ns/net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct Netns(pub u32);

/// Number of a cgroup in the second hierarchy: the low half of the inode of its directory, which is unique among
/// the cgroups that exist ([`tcpwatch_common::RecordHead::cgroup`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CgroupId(pub NonZeroU32);

impl CgroupId {
    /// The cgroup of this low half; 0 is none.
    #[must_use]
    pub fn from_low(low: u32) -> Option<Self> {
        NonZeroU32::new(low).map(Self)
    }

    /// The cgroup whose directory has this inode.
    #[must_use]
    pub fn from_inode(inode: u64) -> Option<Self> {
        Self::from_low(u32::try_from(inode & u64::from(u32::MAX)).ok()?)
    }
}

/// The kernel counts sockets and inodes from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("0 is no {0}")]
pub struct Zero(&'static str);

impl TryFrom<u64> for Cookie {
    type Error = Zero;

    fn try_from(number: u64) -> Result<Self, Zero> {
        if number == 0 { Err(Zero("socket")) } else { Ok(Self(number)) }
    }
}

impl TryFrom<u32> for Netns {
    type Error = Zero;

    fn try_from(inode: u32) -> Result<Self, Zero> {
        if inode == 0 { Err(Zero("network namespace")) } else { Ok(Self(inode)) }
    }
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// This end called `connect()`.
    Outgoing,
    /// The peer connected to this end's listener.
    Incoming,
    /// Both ends connected to each other at once.
    Both,
}
