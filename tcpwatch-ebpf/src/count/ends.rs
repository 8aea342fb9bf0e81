//! Counts how connections end, as [`tcpwatch_common::closing`] says, and the resets they end by.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tcpwatch_common::{
    Closing,
    awaiting::{Awaiting, LastReset, may_be_own_reset},
    counts::{self, Block},
};

use super::BlockWords;
use crate::maps::{AWAITING, LAST_RESET};

/// A socket enters CLOSED, and no mini-socket takes over.
#[inline(always)]
pub(super) fn closed(sock: u64, now: u64, closing: Closing, words: BlockWords) {
    if let Some(awaiting) = awaiting() {
        awaiting.closed(sock, now, closing, &mut words.adder());
    }
}

/// A reset was accepted in this state.
#[inline(always)]
pub(crate) fn reset_received(sock: u64, state: u8) {
    let Some(mut words) = BlockWords::of(Block::ResetReceived) else { return };
    if !may_be_own_reset(state) {
        words.add(counts::RESETS_RECEIVED, 1);
    } else if let Some(awaiting) = awaiting() {
        awaiting.received(sock, now(), &mut words.adder());
    }
}

/// A reset was sent, by this socket in this state (0 for none), for a segment between these ports.
#[inline(always)]
pub(crate) fn reset_sent(sock: u64, state: u8, ports: Option<(u16, u16)>) {
    let Some(mut words) = BlockWords::of(Block::ResetSent) else { return };
    words.add(counts::RESETS_SENT, 1);
    if let Some(ports) = ports
        && let Some(last) = LAST_RESET.get_ptr_mut(0)
    {
        // SAFETY: the lookup returned a live value of this CPU, which only this hook writes.
        unsafe { *last = LastReset { at_ns: now(), ports } };
    }
    if sock != 0
        && let Some(awaiting) = awaiting()
    {
        awaiting.sent(sock, now(), state, &mut words.adder());
    }
}

/// Did this CPU just send a reset between these ports?
#[inline(always)]
pub(super) fn has_reset(ports: (u16, u16), now: u64) -> bool {
    // SAFETY: the lookup returned a live value of this CPU.
    LAST_RESET.get_ptr(0).is_some_and(|last| unsafe { *last }.is(ports, now))
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
fn awaiting() -> Option<&'static mut Awaiting> {
    let slot = AWAITING.get_ptr_mut(0)?;
    // SAFETY: the lookup returned a live value of this CPU. What a socket does around its end is done in
    // one softirq or in one system call; that one interrupts another right here is rarer than a hook that
    // the kernel skips, and costs one count its reason.
    Some(unsafe { &mut *slot })
}
