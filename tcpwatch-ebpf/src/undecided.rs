//! Connects whose local port is not chosen yet when SYN_SENT is entered (`tcp_v4_connect` in
//! `net/ipv4/tcp_ipv4.c`), while the filter asks for a port. They wait here for the socket's next
//! change, or for the SYN to be sent again.

use tcpwatch_common::config::KeptBack;

use crate::{emit::EmitFailure, maps::UNDECIDED};

/// Keeps a change back.
#[inline(always)]
pub(crate) fn keep(cookie: u64, change: &KeptBack) -> Result<(), EmitFailure> {
    UNDECIDED.insert(cookie, change, 0).map_err(|_code| EmitFailure::UndecidedFull)
}

/// Takes a change back out.
#[inline(always)]
pub(crate) fn take(cookie: u64) -> Option<KeptBack> {
    let kept = UNDECIDED.get_ptr(cookie)?;
    // SAFETY: the lookup returned a live entry, and only the socket's own next change removes it.
    let kept = unsafe { *kept };
    UNDECIDED.remove(cookie).ok().map(|()| kept)
}

/// Drops a change that is kept back, if there is one.
#[inline(always)]
pub(crate) fn forget(cookie: u64) {
    let _was_there = UNDECIDED.remove(cookie).is_ok();
}
