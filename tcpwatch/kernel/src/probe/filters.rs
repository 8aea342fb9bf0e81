//! What the user wants to see, from the command line into the kernel side's globals and maps.

use std::{fmt, net::IpAddr};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, LpmTrie, MapError, lpm_trie::Key},
};
use ipnet::IpNet;
use tcpwatch_common::config::{
    FILTER_ACCEPTED, FILTER_ADDRESS, FILTER_CGROUP, FILTER_CONNECTED, FILTER_LOCAL_PORT,
    FILTER_NETNS, FILTER_PORT, FILTER_REMOTE_PORT, FILTER_V4, FILTER_V6, PortSet,
};

use tcpwatch_core::event::{Direction, Netns, TcpState};

/// An inclusive range of ports.
pub type PortRange = std::ops::RangeInclusive<u16>;

/// Filters that run in the kernel. An empty list or `None` asks nothing; what is asked must all
/// hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// The local or the remote port is in one of these.
    pub ports: Vec<PortRange>,
    /// The local port is in one of these.
    pub local_ports: Vec<PortRange>,
    /// The remote port is in one of these.
    pub remote_ports: Vec<PortRange>,
    /// One of the addresses is in one of these.
    pub prefixes: Vec<IpNet>,
    /// Only this family on the wire.
    pub family: Option<FamilyFilter>,
    /// What leaves, enters or happens in one of these is shown. The kernel side does not ask: how long a
    /// state lasted and whose the socket is follow from all of its changes.
    pub states: Vec<TcpState>,
    /// Only this network namespace.
    pub netns: Option<Netns>,
    /// Only sockets that were accepted (`Incoming`), or that connected (`Outgoing`). The kernel side refuses those
    /// that it has seen do the other; one that was there before passes.
    pub direction: Option<Direction>,
    /// Cgroups may be refused, by [`RefusedCgroups`](super::RefusedCgroups).
    pub by_cgroup: bool,
    /// What is to be reported of them.
    pub tells: Tells,
    /// Is it watched which processes receive and send?
    pub holders: bool,
}

/// How much the kernel side reports of the sockets that pass the filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tells {
    /// Changes, retries, resets and errors.
    #[default]
    Happenings,
    /// The same, and with its last change what each socket has done.
    Lives,
}

/// Address family on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyFilter {
    /// IPv4, also through an IPv6 socket.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for FamilyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The values of the kernel side's frozen globals.
pub(super) struct Globals {
    switches: u32,
    netns: u32,
    with_totals: u32,
}

impl Globals {
    /// This kernel's sockets do not keep totals where they are looked for.
    pub(super) fn drop_totals(&mut self) {
        self.with_totals = 0;
    }

    /// No cgroup is refused, or sockets do not point to theirs.
    pub(super) fn drop_cgroups(&mut self) {
        self.switches &= !FILTER_CGROUP;
    }
}

impl Filters {
    pub(super) fn globals(&self) -> Globals {
        let mut switches = 0;
        for (asked, switch) in [
            (!self.ports.is_empty(), FILTER_PORT),
            (!self.local_ports.is_empty(), FILTER_LOCAL_PORT),
            (!self.remote_ports.is_empty(), FILTER_REMOTE_PORT),
            (!self.prefixes.is_empty(), FILTER_ADDRESS),
            (self.family == Some(FamilyFilter::V4), FILTER_V4),
            (self.family == Some(FamilyFilter::V6), FILTER_V6),
            (self.netns.is_some(), FILTER_NETNS),
            (self.by_cgroup, FILTER_CGROUP),
            (self.direction == Some(Direction::Incoming), FILTER_ACCEPTED),
            (self.direction == Some(Direction::Outgoing), FILTER_CONNECTED),
        ] {
            if asked {
                switches |= switch;
            }
        }
        let with_totals = u32::from(self.tells == Tells::Lives);
        let netns = self.netns.map_or(0, |netns| netns.0);
        Globals { switches, netns, with_totals }
    }

    /// Is every socket of this namespace wanted, whatever its ends?
    #[must_use]
    pub fn wants_all_of(&self, netns: Netns) -> bool {
        let Self { ports, local_ports, remote_ports, prefixes, family, .. } = self;
        let ports = [ports, local_ports, remote_ports];
        let asks_for_ends =
            ports.iter().any(|ports| !ports.is_empty()) || !prefixes.is_empty() || family.is_some();
        !asks_for_ends && self.netns.is_none_or(|wanted| wanted == netns)
    }

    /// May sockets be left out because of their cgroup or direction, which a timewait socket does not have itself?
    #[must_use]
    pub const fn leaves_out_sockets(&self) -> bool {
        self.by_cgroup || self.direction.is_some()
    }

    /// Writes ports and prefixes into the maps of the loaded object.
    pub(super) fn fill_maps(&self, ebpf: &mut Ebpf) -> Result<(), MapError> {
        let mut ports: Array<_, u64> = map(ebpf, "PORTS")?;
        for (set, ranges) in [
            (PortSet::Any, &self.ports),
            (PortSet::Local, &self.local_ports),
            (PortSet::Remote, &self.remote_ports),
        ] {
            for (word, bits) in bitmap(set, ranges) {
                ports.set(word, bits, 0)?;
            }
        }
        let mut v4: LpmTrie<_, [u8; 4], u32> = map(ebpf, "PREFIXES_V4")?;
        for prefix in &self.prefixes {
            if let IpNet::V4(prefix) = prefix {
                let key = Key::new(prefix.prefix_len().into(), prefix.network().octets());
                v4.insert(&key, 1, 0)?;
            }
        }
        let mut v6: LpmTrie<_, [u8; 16], u32> = map(ebpf, "PREFIXES_V6")?;
        for prefix in &self.prefixes {
            if let IpNet::V6(prefix) = prefix {
                let key = Key::new(prefix.prefix_len().into(), prefix.network().octets());
                v6.insert(&key, 1, 0)?;
            }
        }
        Ok(())
    }

    /// The same question as the kernel side's, for a socket that was there before it.
    #[must_use]
    pub fn wants(&self, netns: Netns, ends: &tcpwatch_core::event::Endpoints) -> bool {
        let (local, remote) = (ends.local, ends.remote);
        let within = |ranges: &[PortRange], port| ranges.iter().any(|range| range.contains(&port));
        let prefixed = |address: IpAddr| self.prefixes.iter().any(|net| net.contains(&address));
        (self.ports.is_empty()
            || within(&self.ports, local.port)
            || within(&self.ports, remote.port))
            && (self.local_ports.is_empty() || within(&self.local_ports, local.port))
            && (self.remote_ports.is_empty() || within(&self.remote_ports, remote.port))
            && (self.prefixes.is_empty() || prefixed(local.address) || prefixed(remote.address))
            && match self.family {
                None => true,
                Some(FamilyFilter::V4) => local.address.is_ipv4(),
                Some(FamilyFilter::V6) => local.address.is_ipv6(),
            }
            && self.netns.is_none_or(|wanted| wanted == netns)
    }
}

impl fmt::Display for Filters {
    /// A few words for the first line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = |name: &str, ranges: &[PortRange]| {
            let words = ranges.iter().map(|range| {
                let (first, last) = (range.start(), range.end());
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            });
            (!ranges.is_empty()).then(|| format!("{name} {}", words.collect::<Vec<_>>().join(",")))
        };
        let list = |words: Vec<String>| (!words.is_empty()).then(|| words.join(","));
        let asked = [
            ports("port", &self.ports),
            ports("local port", &self.local_ports),
            ports("remote port", &self.remote_ports),
            list(self.prefixes.iter().map(ToString::to_string).collect()),
            self.family.map(|family| match family {
                FamilyFilter::V4 => "IPv4".to_owned(),
                FamilyFilter::V6 => "IPv6".to_owned(),
            }),
            list(self.states.iter().map(ToString::to_string).collect()),
            self.netns.map(|netns| format!("netns {}", netns.0)),
            self.direction.and_then(|direction| match direction {
                Direction::Incoming => Some("accepted".to_owned()),
                Direction::Outgoing => Some("connected".to_owned()),
                Direction::Both => None,
            }),
        ];
        let asked: Vec<String> = asked.into_iter().flatten().collect();
        if asked.is_empty() {
            return f.write_str("every TCP socket");
        }
        f.write_str(&asked.join(" \u{b7} "))
    }
}

impl Globals {
    pub(super) fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader
            .override_global("FILTERS", &self.switches, true)
            .override_global("WITH_TOTALS", &self.with_totals, true)
            .override_global("FILTER_NETNS_INODE", &self.netns, true);
    }
}

pub(super) fn map<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<T, MapError>
where
    T: TryFrom<&'a mut aya::maps::Map, Error = MapError>,
{
    ebpf.map_mut(name)
        .ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
        .and_then(TryInto::try_into)
}

/// The words of a port set that are not zero.
fn bitmap(set: PortSet, ranges: &[PortRange]) -> std::collections::BTreeMap<u32, u64> {
    let mut words = std::collections::BTreeMap::new();
    for port in ranges.iter().cloned().flatten() {
        *words.entry(set.word(port)).or_insert(0) |= PortSet::bit(port);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_fills_its_bits_and_no_others() {
        let words = bitmap(PortSet::Local, &[63..=64, 65535..=65535]);
        let base = tcpwatch_common::config::PORT_WORDS;
        let expected = [(base, 1 << 63), (base + 1, 1), (base + 1023, 1 << 63)];
        assert_eq!(words.into_iter().collect::<Vec<_>>(), expected);
    }
}
