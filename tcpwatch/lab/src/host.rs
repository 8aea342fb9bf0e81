//! The two hosts of the laboratory and their addresses, which are those of the recipes by hand.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use tcpwatch_kernel::probe::filters::FamilyFilter;

/// One of the two hosts.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// The host that usually connects.
    Client,
    /// The host that usually listens.
    Server,
}

impl Host {
    /// Both hosts.
    pub const ALL: [Self; 2] = [Self::Client, Self::Server];

    /// Its name, in scenario files and in all output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The other host.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Its address; the prefix is 24 bits long for IPv4 and 64 for IPv6.
    #[must_use]
    pub const fn address(self, family: FamilyFilter) -> IpAddr {
        match (self, family) {
            (Self::Client, FamilyFilter::V4) => IpAddr::V4(Ipv4Addr::new(192, 168, 122, 177)),
            (Self::Server, FamilyFilter::V4) => IpAddr::V4(Ipv4Addr::new(192, 168, 122, 68)),
            (Self::Client, FamilyFilter::V6) => {
                IpAddr::V6(Ipv6Addr::new(0xfd00, 0x122, 0, 0, 0, 0, 0, 0x177))
            }
            (Self::Server, FamilyFilter::V6) => {
                IpAddr::V6(Ipv6Addr::new(0xfd00, 0x122, 0, 0, 0, 0, 0, 0x68))
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
