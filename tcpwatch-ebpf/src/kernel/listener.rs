//! The listener of a half-open connection, by its address: what a request socket points to has no type for the
//! verifier.

use super::probe;
use crate::maps;

/// `struct sock *` of a listener.
#[derive(Clone, Copy)]
pub(crate) struct ListenerSock(pub(super) *const u8);

/// Its queues.
#[derive(Clone, Copy)]
pub(crate) struct ListenerQueues {
    /// Connections that wait to be accepted.
    pub(crate) waiting: u32,
    /// The accept queue is full when more than that wait.
    pub(crate) most: u32,
}

impl ListenerSock {
    /// How full its accept queue is; `None` if that cannot be read.
    #[inline(always)]
    pub(crate) fn queues(self) -> Option<ListenerQueues> {
        if maps::SK_MAX_ACK_BACKLOG.load() == 0 {
            return None;
        }
        let waiting = probe(self.0, maps::SK_ACK_BACKLOG.load())?;
        Some(ListenerQueues { waiting, most: probe(self.0, maps::SK_MAX_ACK_BACKLOG.load())? })
    }

    /// Half-open connections.
    #[inline(always)]
    pub(crate) fn half_open(self) -> u32 {
        probe(self.0, maps::SYN_QUEUE_LENGTH.load()).unwrap_or(0)
    }

    /// Segments that it has dropped since it was made; 0 also if that cannot be read.
    #[inline(always)]
    pub(crate) fn dropped(self) -> u32 {
        if maps::SK_DROPS.load() == 0 {
            return 0;
        }
        probe(self.0, maps::SK_DROPS.load()).unwrap_or(0)
    }

    /// Does it want data with the last segment of a handshake (`TCP_DEFER_ACCEPT`)?
    #[inline(always)]
    pub(crate) fn defers(self) -> bool {
        probe::<u8>(self.0, maps::DEFER_ACCEPT.load()) != Some(0)
    }

    /// 0 if the listener has no cookie yet.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        probe(self.0, maps::SKC_COOKIE.load()).unwrap_or(0)
    }

    /// Number of its cgroup; 0 if that is not known.
    #[inline(always)]
    pub(crate) fn cgroup(self) -> u32 {
        if maps::HAS_CGROUP.load() == 0 {
            return 0;
        }
        let cgroup: *const u8 = or_null(probe(self.0, maps::TCP_CGROUP.load()));
        let node: *const u8 = or_null(probe(cgroup, maps::CGROUP_KN.load()));
        probe::<u64>(node, maps::KN_ID.load()).unwrap_or(0) as u32
    }

    /// `AF_INET` or `AF_INET6`; 0 if it cannot be read.
    #[inline(always)]
    pub(crate) fn family(self) -> u16 {
        probe(self.0, maps::SKC_FAMILY.load()).unwrap_or(0)
    }

    /// In host order.
    #[inline(always)]
    pub(crate) fn port(self) -> u16 {
        probe(self.0, maps::SKC_NUM.load()).unwrap_or(0)
    }

    /// The address that it is bound to, if it is of this family; IPv4 in the first word.
    #[inline(always)]
    pub(crate) fn address(self, family: u16) -> [u32; 4] {
        if family == super::FAMILY_INET6 {
            return probe(self.0, maps::SKC_V6_RCV_SADDR.load()).unwrap_or([0; 4]);
        }
        [probe(self.0, maps::SKC_RCV_SADDR.load()).unwrap_or(0), 0, 0, 0]
    }
}

#[inline(always)]
fn or_null(pointer: Option<*const u8>) -> *const u8 {
    pointer.unwrap_or(core::ptr::null())
}
