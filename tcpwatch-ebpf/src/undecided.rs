//! Changes that are reported before the kernel has filled in the port the filter asks for: SYN_SENT
//! before a local port is chosen (`tcp_v4_connect` in `net/ipv4/tcp_ipv4.c`), SYN_RECV of an
//! accepted socket before the remote port is copied (`inet_csk_clone_lock` in
//! `net/ipv4/inet_connection_sock.c`, up to 6.12). They wait here for the socket's next change.

use tcpwatch_common::config::KeptBack;

use crate::{emit::Loss, maps::UNDECIDED};

/// Keeps a change back.
#[inline(always)]
pub(crate) fn keep(cookie: u64, change: &KeptBack) -> Result<(), Loss> {
    UNDECIDED.insert(cookie, change, 0).map_err(|_code| Loss::UndecidedFull)
}

/// Takes a change back out.
#[inline(always)]
pub(crate) fn take(cookie: u64) -> Option<KeptBack> {
    let kept = UNDECIDED.get_ptr(cookie)?;
    // SAFETY: the lookup returned a live entry, and only the socket's own next change removes it.
    let kept = unsafe { *kept };
    UNDECIDED.remove(cookie).ok().map(|()| kept)
}
