//! Words of a record become addresses and the ends of a connection. Their bytes in memory are in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tcpwatch_common::RecordHead;

use crate::event::{CgroupId, Cookie, Endpoint, Endpoints};

pub(super) fn v4([word]: [u32; 1]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes()))
}

pub(super) fn v6(words: [u32; 4]) -> IpAddr {
    let [a, b, c, d] = words.map(u32::from_be);
    let bits = u128::from(a) << 96 | u128::from(b) << 64 | u128::from(c) << 32 | u128::from(d);
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}

pub(super) const fn ends(head: &RecordHead, local: IpAddr, remote: IpAddr) -> Endpoints {
    Endpoints {
        local: Endpoint { address: local, port: head.local_port },
        remote: Endpoint { address: remote, port: head.remote_port },
    }
}

/// `None` if nobody has asked for one.
pub(super) fn cookie(head: &RecordHead) -> Option<Cookie> {
    (head.cookie != 0).then_some(Cookie(head.cookie))
}

/// `None` if the kernel side does not know it.
pub(super) fn cgroup(head: &RecordHead) -> Option<CgroupId> {
    CgroupId::from_low(head.cgroup)
}
