//! Tells the usual end of a half-open connection from the others: an accepted socket enters SYN_RECV
//! and then, on the same CPU and in the same softirq, the timer of its request is disarmed
//! (`tcp_v4_syn_recv_sock`, then `inet_csk_complete_hashdance`). All other ends are rare enough to
//! look at the call stack.

use crate::maps::{ACCEPTING, ACCEPTS};

/// A connection is being accepted here. Up to 6.12 its remote port is not known yet and is 0.
#[inline(always)]
pub(crate) fn note(remote_port: u16) {
    if let Some(slot) = ACCEPTING.get_ptr_mut(0) {
        // SAFETY: the lookup returned a live slot of this CPU, and softirqs do not nest on a CPU.
        unsafe { *slot = ACCEPTS | u32::from(remote_port) };
    }
}

/// Was that for this one? Takes the note.
#[inline(always)]
pub(crate) fn take(remote_port: u16) -> bool {
    let Some(slot) = ACCEPTING.get_ptr_mut(0) else { return false };
    // SAFETY: as above.
    let noted = unsafe { *slot };
    if noted == ACCEPTS || noted == ACCEPTS | u32::from(remote_port) {
        // SAFETY: as above.
        unsafe { *slot = 0 };
        return true;
    }
    false
}
