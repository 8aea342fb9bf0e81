//! Tells the usual end of a half-open connection from the others: an accepted socket enters SYN_RECV
//! and then, on the same CPU and in the same softirq, the timer of its request is disarmed
//! (`tcp_v4_syn_recv_sock`, then `inet_csk_complete_hashdance`). All other ends are rare enough to
//! look at the call stack.

use crate::maps::{ACCEPTING, ACCEPTS, COUNTED};

/// A connection is being accepted here, and is to be counted or not. Up to 6.12 its remote port is
/// not known yet and is 0. Returns whether the one before was to be counted and was not taken.
#[inline(always)]
pub(crate) fn note(remote_port: u16, counted: bool) -> bool {
    let Some(slot) = ACCEPTING.get_ptr_mut(0) else { return false };
    // SAFETY: the lookup returned a live slot of this CPU, and softirqs do not nest on a CPU.
    let before = unsafe { *slot };
    let counted = if counted { COUNTED } else { 0 };
    // SAFETY: as above.
    unsafe { *slot = ACCEPTS | counted | u32::from(remote_port) };
    before & COUNTED != 0
}

/// Was that for this one? Takes the note.
#[inline(always)]
pub(crate) fn take(remote_port: u16) -> bool {
    let Some(slot) = ACCEPTING.get_ptr_mut(0) else { return false };
    // SAFETY: as above.
    let noted = unsafe { *slot };
    let is_about = is_about(noted, remote_port);
    if is_about {
        // SAFETY: as above.
        unsafe { *slot = 0 };
    }
    is_about
}

#[inline(always)]
fn is_about(noted: u32, remote_port: u16) -> bool {
    let noted = noted & !COUNTED;
    noted == ACCEPTS || noted == ACCEPTS | u32::from(remote_port)
}

/// Whether there is a note of one to be counted that no half-open connection has taken.
#[inline(always)]
pub(crate) fn is_left_over() -> bool {
    // SAFETY: as above.
    ACCEPTING.get_ptr(0).is_some_and(|slot| unsafe { *slot } & COUNTED != 0)
}

/// 1 if there is a note of this connection, and no half-open connection has taken it.
#[inline(always)]
pub(crate) fn lacks_request(remote_port: u16) -> u16 {
    let Some(slot) = ACCEPTING.get_ptr(0) else { return 0 };
    // SAFETY: as above.
    u16::from(is_about(unsafe { *slot }, remote_port))
}

/// Removes the note of a connection whose request had no timer to disarm (SYN cookies, fast open), or whose
/// timer was disarmed before the program on it was attached: it would be taken for that of another one.
#[inline(always)]
pub(crate) fn is_over() {
    if let Some(slot) = ACCEPTING.get_ptr_mut(0) {
        // SAFETY: as above.
        unsafe { *slot = 0 };
    }
}
