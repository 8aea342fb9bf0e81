//! Counts instead of a list: the sockets of the own network namespace in some states, one after the
//! other into a tally, so that a hundred thousand of them take no memory.

use std::time::Duration;

use netlink_packet_sock_diag::inet::{ExtensionFlags, StateFlags};
use tcpwatch_core::event::{Cookie, Endpoints, KnownKind, TcpState};

use super::{
    DumpError, message,
    sock_diag::{self, FAMILIES, SEQUENCE, TRIES},
};

/// A socket in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Which socket.
    pub socket: Cookie,
    /// Its two ends; IPv4 in IPv6 is told as IPv4.
    pub ends: Endpoints,
    /// Its state; of a timewait mini-socket the substate.
    pub state: TcpState,
    /// What the kernel keeps for it.
    pub kind: KnownKind,
    /// Of a listener the connections that wait for `accept`, otherwise bytes.
    pub receive_queue: u32,
    /// Of a listener the limit that `listen` set for those, otherwise bytes.
    pub send_queue: u32,
    /// Number of its cgroup in the second hierarchy; mini-sockets and kernels before 5.9 tell none.
    pub cgroup: Option<u64>,
    /// How long ago the last acknowledgment came, in whole milliseconds, if [`Detail::Times`] was
    /// asked for.
    pub last_ack_received: Option<Duration>,
}

/// How much is asked of each socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What costs nothing.
    Plain,
    /// Times too, for which the kernel locks each socket (`tcp_get_info`, `net/ipv4/tcp.c`).
    Times,
}

/// Adds the TCP sockets in these states, of the calling thread's network namespace, to a tally. Takes
/// no privilege.
pub fn survey<T: Default>(
    states: &[TcpState],
    detail: Detail,
    mut add: impl FnMut(&mut T, &Surveyed),
) -> Result<T, DumpError> {
    let bit = |state: &TcpState| 1_u32.checked_shl(state.to_kernel().into()).unwrap_or(0);
    let bits = states.iter().map(bit).fold(0, |all, bit| all | bit);
    let states = StateFlags::from_bits_truncate(bits);
    let extensions = match detail {
        Detail::Plain => ExtensionFlags::empty(),
        Detail::Times => ExtensionFlags::INFO,
    };
    for _ in 0..TRIES {
        let mut tally = T::default();
        if dump(&states, &extensions, |socket| add(&mut tally, socket))? {
            return Ok(tally);
        }
    }
    Err(DumpError::Interrupted { tries: TRIES })
}

/// `false` if some may be missing.
fn dump(
    states: &StateFlags,
    extensions: &ExtensionFlags,
    mut add: impl FnMut(&Surveyed),
) -> Result<bool, DumpError> {
    let mut all = true;
    for family in FAMILIES {
        let question = sock_diag::all_in(family, states.clone(), extensions.clone());
        all &= sock_diag::dump_answer(question, |datagram, _| {
            let each = |payload: &[u8]| {
                add(&message::surveyed(payload)?);
                Ok(())
            };
            Ok(message::each(datagram, SEQUENCE, each)?)
        })?;
    }
    Ok(all)
}
