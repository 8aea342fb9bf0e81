//! A copy of the first bytes of any kind of socket: they all begin with a `struct sock_common`.

use aya_ebpf::{Global, helpers::bpf_probe_read_kernel_buf};
use tcpwatch_common::{config::MINI_BYTES, state::TIME_WAIT};

use super::{Addresses, ListenerSock, addresses, field, probe};
use crate::maps;

/// Room for the copy. It is made once, in the hook: a program's stack has 512 bytes.
#[repr(C, align(8))]
pub(crate) struct Room(pub(crate) [u8; MINI_BYTES]);

/// The copy.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a>(&'a [u8; MINI_BYTES]);

impl<'a> Common<'a> {
    /// Copies the socket at `object` into `room`; `None` if there is none, or none that can be read.
    #[inline(always)]
    pub(super) fn at(object: *const u8, room: &'a mut Room) -> Option<Self> {
        // SAFETY: the helper checks the address itself.
        unsafe { bpf_probe_read_kernel_buf(object, &mut room.0) }.ok()?;
        Some(Self(&room.0))
    }

    #[inline(always)]
    pub(super) fn field<T: Copy>(self, offset: &Global<u32>) -> T {
        // The verifier has the frozen offset as a constant and checks that the read stays inside the copy.
        field(self.0.as_ptr(), offset)
    }

    /// Kernel state number; of a timewait socket that of the state it stands for.
    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        match self.field(&maps::SKC_STATE) {
            TIME_WAIT if maps::TW_SUBSTATE.load() != 0 => self.field(&maps::TW_SUBSTATE),
            state => state,
        }
    }

    /// Local and remote port in host order.
    #[inline(always)]
    pub(crate) fn ports(self) -> (u16, u16) {
        (self.field(&maps::SKC_NUM), u16::from_be(self.field(&maps::SKC_DPORT)))
    }

    /// 0 if the socket has no cookie yet (cookies are given on request).
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        self.field(&maps::SKC_COOKIE)
    }

    /// The listener of a half-open connection.
    #[inline(always)]
    pub(crate) fn listener(self) -> ListenerSock {
        ListenerSock(self.field(&maps::SKC_LISTENER))
    }

    /// Hash of four-tuple and namespace (`skc_hash`), the same for a full socket and the timewait
    /// socket that replaces it (`inet_twsk_alloc`).
    #[inline(always)]
    pub(crate) fn hash(self) -> u32 {
        self.field(&maps::SKC_HASH)
    }

    /// Inode of the network namespace.
    #[inline(always)]
    pub(crate) fn netns(self) -> Option<u32> {
        self.probe_net(&maps::NS_INUM)
    }

    /// The last reference to the network namespace is gone: `cleanup_net()` is at work.
    #[inline(always)]
    pub(crate) fn netns_is_gone(self) -> bool {
        self.probe_net::<u32>(&maps::NS_COUNT) == Some(0)
    }

    #[inline(always)]
    fn probe_net<T>(self, offset: &Global<u32>) -> Option<T> {
        probe(self.field(&maps::SKC_NET), offset.load())
    }

    /// Addresses; `None` for a family that is neither IPv4 nor IPv6.
    #[inline(always)]
    pub(crate) fn addresses(self) -> Option<Addresses> {
        addresses(self.0.as_ptr())
    }
}
