//! Sockets that the filters on the cgroup and on the direction do not want. Nothing is refused that user space would
//! show: what is not known here passes, and is decided about there.
//!
//! Of a socket either all is refused, from its first change on, or nothing, so that what does pass has no gaps. A
//! cgroup is refused once user space has looked up where it is, and knows that before it takes in anything of its
//! sockets; a socket stays in the cgroup that it was made in (`cgroup_sk_alloc`, `kernel/cgroup/cgroup.c`).

use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use tcpwatch_common::{
    config::{FILTER_ACCEPTED, FILTER_CGROUP, FILTER_CONNECTED},
    state::{CLOSED, LISTEN, SYN_RECV, SYN_SENT},
};

use crate::{
    filter::asked,
    kernel::Sock,
    maps::{REFUSED, REFUSED_CGROUPS},
};

/// Is this cgroup, a [`tcpwatch_common::RecordHead::cgroup`], refused? One that is not known is not.
#[inline(always)]
pub(crate) fn cgroup(read: impl FnOnce() -> u32) -> bool {
    asked(FILTER_CGROUP) && REFUSED_CGROUPS.get_ptr(read()).is_some()
}

/// Is this change one of a socket whose direction is refused? The first one decides: a connect enters SYN_SENT, an
/// accepted socket is made in SYN_RECV. A socket that is used again is decided about again.
#[inline(always)]
pub(crate) fn change(sock: Sock, old: u8, new: u8) -> bool {
    if !asked(FILTER_ACCEPTED | FILTER_CONNECTED) {
        return false;
    }
    let begins =
        if asked(FILTER_ACCEPTED) { new == SYN_SENT } else { old == LISTEN && new == SYN_RECV };
    if begins {
        if let Some(mark) = sock.storage(&REFUSED, u64::from(BPF_SK_STORAGE_GET_F_CREATE)) {
            // SAFETY: the helper returned the live value of this socket.
            unsafe { *mark = 1 };
        }
        return true;
    }
    if old != CLOSED {
        return direction(sock);
    }
    if let Some(mark) = sock.storage(&REFUSED, 0) {
        // SAFETY: as above.
        unsafe { *mark = 0 };
    }
    false
}

/// Was the first change of this full socket refused for its direction?
#[inline(always)]
pub(crate) fn direction(sock: Sock) -> bool {
    asked(FILTER_ACCEPTED | FILTER_CONNECTED)
        // SAFETY: the helper returned the live value of this socket.
        && sock.storage(&REFUSED, 0).is_some_and(|mark| unsafe { *mark } != 0)
}

/// Are half-open connections refused, which are all accepted?
#[inline(always)]
pub(crate) fn half_open() -> bool {
    asked(FILTER_CONNECTED)
}

/// Is this a timewait socket of which nothing can be shown? Neither its cgroup nor its direction is in it. Its full
/// socket has them, and had a cookie if anything of it was emitted.
#[inline(always)]
pub(crate) fn timewait(cookie: u64) -> bool {
    cookie == 0 && asked(FILTER_CGROUP | FILTER_ACCEPTED | FILTER_CONNECTED)
}
