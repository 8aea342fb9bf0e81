//! Words of a record become addresses and the ends of a connection. Their bytes in memory are in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tcpwatch_common::RecordHead;

use super::DecodeError;
use crate::event::{CgroupId, Cookie, Endpoint, Endpoints};

/// One word is an IPv4 address, four are an IPv6 address.
pub(super) fn address<const WORDS: usize>(words: [u32; WORDS]) -> IpAddr {
    match *words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes())),
        [a, b, c, d] => {
            let [a, b, c, d] = [a, b, c, d].map(|word| u128::from(u32::from_be(word)));
            IpAddr::V6(Ipv6Addr::from_bits(a << 96 | b << 64 | c << 32 | d))
        }
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

pub(crate) fn ends<const WORDS: usize>(
    head: &RecordHead,
    local: [u32; WORDS],
    remote: [u32; WORDS],
) -> Endpoints {
    Endpoints {
        local: Endpoint { address: address(local), port: head.local_port },
        remote: Endpoint { address: address(remote), port: head.remote_port },
    }
}

/// `None` if the socket has none yet.
pub(crate) fn cookie(head: &RecordHead) -> Option<Cookie> {
    (head.cookie != 0).then_some(Cookie(head.cookie))
}

/// The cookie of a full socket, which without one would be taken for another.
pub(crate) fn socket(head: &RecordHead) -> Result<Cookie, DecodeError> {
    cookie(head).ok_or(DecodeError::Nobody { kind: head.kind, what: "socket" })
}

/// `None` if the kernel side does not know it.
pub(crate) fn cgroup(head: &RecordHead) -> Option<CgroupId> {
    CgroupId::from_low(head.cgroup)
}
