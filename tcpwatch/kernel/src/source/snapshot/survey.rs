//! Counts instead of a list: the sockets of the own network namespace in some states, one after the
//! other into a tally, so that a hundred thousand of them take no memory.

use netlink_packet_sock_diag::inet::{ExtensionFlags, StateFlags};
use tcpwatch_core::event::TcpState;

use super::{
    DumpError,
    message::{self, Surveyed},
    sock_diag::{self, Asking, FAMILIES, TRIES},
};

/// How much is asked of each socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What costs nothing.
    Plain,
    /// Times too, for which the kernel locks each socket (`tcp_get_info`, `net/ipv4/tcp.c`).
    Times,
    /// What a listener has dropped, too.
    Drops,
}

impl Detail {
    pub(super) fn extensions(self) -> ExtensionFlags {
        match self {
            Self::Plain => ExtensionFlags::empty(),
            Self::Times => ExtensionFlags::INFO,
            Self::Drops => ExtensionFlags::SKMEMINFO,
        }
    }
}

/// Adds the TCP sockets in these states, of the calling thread's network namespace, to a tally. Takes
/// no privilege.
pub fn survey<T: Default>(
    states: &[TcpState],
    detail: Detail,
    add: impl FnMut(&mut T, &Surveyed),
) -> Result<T, DumpError> {
    Surveyor::open()?.survey(states, detail, add)
}

/// Surveys one network namespace as often as it is asked to, from whichever thread. It holds the namespace: the kernel
/// does not remove one that a socket is in.
#[derive(Debug)]
pub struct Surveyor(Asking);

impl Surveyor {
    /// For the network namespace that the calling thread is in.
    pub fn open() -> Result<Self, DumpError> {
        Ok(Self(Asking::open()?))
    }

    /// As [`survey`].
    pub fn survey<T: Default>(
        &mut self,
        states: &[TcpState],
        detail: Detail,
        mut add: impl FnMut(&mut T, &Surveyed),
    ) -> Result<T, DumpError> {
        let bit = |state: &TcpState| 1_u32.checked_shl(state.to_kernel().into()).unwrap_or(0);
        let bits = states.iter().map(bit).fold(0, |all, bit| all | bit);
        let states = StateFlags::from_bits_truncate(bits);
        let extensions = detail.extensions();
        for _ in 0..TRIES {
            let mut tally = T::default();
            let whole = self.dump(&states, &extensions, |socket| add(&mut tally, socket));
            self.0.rest();
            if whole? {
                return Ok(tally);
            }
        }
        Err(DumpError::Interrupted { tries: TRIES })
    }

    /// `false` if some may be missing.
    fn dump(
        &mut self,
        states: &StateFlags,
        extensions: &ExtensionFlags,
        mut add: impl FnMut(&Surveyed),
    ) -> Result<bool, DumpError> {
        let mut all = true;
        for family in FAMILIES {
            let question = sock_diag::all_in(family, states.clone(), extensions.clone());
            all &= self.0.ask(question, |datagram, _, sequence| {
                let each = |payload: &[u8]| {
                    add(&message::surveyed(payload)?);
                    Ok(())
                };
                Ok(message::each(datagram, sequence, each)?)
            })?;
        }
        Ok(all)
    }
}
