//! Counts how connections end, as [`tcpwatch_common::closing`] says, and the resets they end by.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tcpwatch_common::{
    Closing,
    awaiting::{AwaitedSocket, Awaiting, LastReset, may_be_own_reset},
    counts::{self, Block},
};

use super::books;
use crate::{
    kernel::{AnySock, Sock},
    maps::{AWAITING, LAST_RESET},
};

/// A socket enters CLOSED, and no mini-socket takes over.
#[inline(always)]
pub(super) fn closed(sock: Sock, (cgroup, writer): (u32, Block), now: u64, closing: Closing) {
    if let Some(awaiting) = awaiting() {
        let sock = AwaitedSocket { at: sock.address(), cgroup };
        awaiting.closed(sock, now, closing, &mut |of, word| books::count(of, writer, word));
    }
}

/// A socket has accepted a reset.
#[inline(always)]
pub(crate) fn reset_received(sock: Sock) {
    const WRITER: Block = Block::ResetReceived;
    let cgroup = books::cgroup_of(sock);
    if !may_be_own_reset(sock.state()) {
        books::count(cgroup, WRITER, counts::RESETS_RECEIVED);
    } else if let Some(awaiting) = awaiting() {
        let sock = AwaitedSocket { at: sock.address(), cgroup };
        awaiting.received(sock, now(), &mut |of, word| books::count(of, WRITER, word));
    }
}

/// A reset was sent, by this socket in this state (0 for none), for a segment between these ports.
#[inline(always)]
pub(crate) fn reset_sent(sock: AnySock, state: u8, ports: Option<(u16, u16)>) {
    const WRITER: Block = Block::ResetSent;
    let sock = AwaitedSocket { at: sock.address(), cgroup: sock.cgroup(state) };
    books::count(sock.cgroup, WRITER, counts::RESETS_SENT);
    if let Some(ports) = ports
        && let Some(last) = LAST_RESET.get_ptr_mut(0)
    {
        // SAFETY: the lookup returned a live value of this CPU, which only this hook writes.
        unsafe { *last = LastReset { at_ns: now(), ports } };
    }
    if sock.at != 0
        && let Some(awaiting) = awaiting()
    {
        awaiting.sent(sock, now(), state, &mut |of, word| books::count(of, WRITER, word));
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
