//! The kernel functions that end mini-sockets, by their addresses.

use serde::{Deserialize, Serialize};
use tcpwatch_common::Ending;

use crate::event::EarlyEnd;

/// Functions from which a mini-socket is ended before its time, and what that means. Read in
/// `net/ipv4/tcp_minisocks.c`, `tcp_ipv4.c`, `inet_hashtables.c`, `inet_timewait_sock.c`,
/// `inet_connection_sock.c`, `tcp.c`.
const ENDING: [(&str, EarlyEnd); 14] = [
    ("inet_csk_complete_hashdance", EarlyEnd::Accepted),
    ("tcp_check_req", EarlyEnd::ResetReceived),
    ("tcp_timewait_state_process", EarlyEnd::ResetReceived),
    ("tcp_v4_rcv", EarlyEnd::SegmentReceived),
    ("tcp_v6_rcv", EarlyEnd::SegmentReceived),
    ("tcp_req_err", EarlyEnd::Unreachable),
    ("tcp_v4_err", EarlyEnd::Unreachable),
    ("tcp_v6_err", EarlyEnd::Unreachable),
    ("__inet_check_established", EarlyEnd::Connect),
    ("__inet6_check_established", EarlyEnd::Connect),
    ("__inet_hash_connect", EarlyEnd::Connect),
    ("tcp_abort", EarlyEnd::Killed),
    ("inet_twsk_purge", EarlyEnd::NetnsGone),
    ("tcp_twsk_purge", EarlyEnd::NetnsGone),
];

/// A range of memory that belongs to a function; there are several where a compiler has split it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// The kernel's name, without a compiler's suffix.
    pub name: String,
    /// The address of its first byte.
    pub start: u64,
    /// The address behind its last byte.
    pub end: u64,
}

/// The functions that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbols {
    /// In the order of the kernel's list.
    pub functions: Vec<Function>,
}

impl Symbols {
    /// What ended a mini-socket, from the functions that were under way, innermost first.
    #[must_use]
    pub fn early_end(&self, trace: &[u64]) -> Option<EarlyEnd> {
        trace.iter().find_map(|address| {
            let function = self
                .functions
                .iter()
                .find(|function| (function.start..function.end).contains(address))?;
            ENDING.iter().find(|(name, _)| *name == function.name).map(|(_, end)| *end)
        })
    }

    /// Where these functions lie, for the kernel side, and what they mean.
    pub fn endings(&self) -> impl Iterator<Item = Ending> + '_ {
        self.functions.iter().filter_map(|function| {
            let (_, end) = ENDING.iter().find(|(name, _)| *name == function.name)?;
            #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
            let what = *end as u64;
            Some(Ending { start: function.start, end: function.end, what })
        })
    }

    /// Is this a function from which mini-sockets are ended?
    #[must_use]
    pub fn is_ending(name: &[u8]) -> bool {
        // Nearly every symbol of a kernel fails at the first byte.
        matches!(name.first(), Some(b't' | b'i' | b'_'))
            && ENDING.iter().any(|(ending, _)| ending.as_bytes() == name)
    }
}
