//! Puts records into the ring and accounts for each of them: the only file that touches `EVENTS`
//! and `COUNTERS`.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    programs::BtfTracePointContext,
};
use aya_log_ebpf::warn;
use tcpwatch_common::{Counter, RecordHead, RecordKind, counter::Hook};

use crate::{
    maps::{COUNTERS, EVENTS},
    wakeup,
};

/// Why a record did not reach the ring.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    RingFull,
    /// A socket that says it is TCP but is not a full TCP socket.
    NotATcpSocket,
    /// A TCP socket of a family that is neither IPv4 nor IPv6.
    UnknownFamily,
}

/// Announces a record of `hook`; every announced record is then emitted or counted as lost.
#[inline(always)]
pub(crate) fn attempt(hook: Hook) {
    add_one(Counter::Attempted, hook);
}

/// The head of a record that is made now, all but the family.
#[inline(always)]
pub(crate) fn head(
    kind: RecordKind,
    cookie: u64,
    netns: u32,
    (local_port, remote_port): (u16, u16),
    flags: u16,
) -> RecordHead {
    // SAFETY: the helper takes nothing and always succeeds.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    RecordHead {
        at_ns,
        cookie,
        netns,
        kind: kind as u8,
        family: 0,
        local_port,
        remote_port,
        flags,
        reserved: 0,
    }
}

/// Process id of the current task.
#[inline(always)]
pub(crate) fn current_pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Reserves room, lets `fill` build the record there, and hands it over.
#[inline(always)]
pub(crate) fn emit<R: 'static>(fill: impl FnOnce() -> R) -> Result<(), Loss> {
    let mut entry = EVENTS.reserve_untyped::<R>(0).ok_or(Loss::RingFull)?;
    entry.write(fill());
    if wakeup::take_request() {
        entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    } else {
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
        wakeup::wake_if_requested();
    }
    Ok(())
}

/// Counts a loss under its cause; the first complaint of its kind on a CPU is also logged.
#[inline(always)]
pub(crate) fn count_loss(ctx: &BtfTracePointContext, loss: Loss, hook: Hook) {
    match loss {
        Loss::RingFull => {
            add_one(Counter::RingFull, hook);
        }
        Loss::NotATcpSocket => {
            if add_one(Counter::Unreadable, hook) == 1 {
                warn!(ctx, "a TCP socket that is not a full socket was skipped");
            }
        }
        Loss::UnknownFamily => {
            if add_one(Counter::Unreadable, hook) == 1 {
                warn!(ctx, "a TCP socket of an unknown address family was skipped");
            }
        }
    }
}

/// Returns the new value; 0 if the slot does not exist.
#[inline(always)]
fn add_one(counter: Counter, hook: Hook) -> u64 {
    let Some(slot) = COUNTERS.get_ptr_mut(counter.slot(hook)) else {
        return 0;
    };
    // SAFETY: the lookup returned a live slot of this CPU; only this hook writes it and a hook never
    // interrupts itself on a CPU.
    unsafe {
        *slot += 1;
    }
    // SAFETY: as above.
    unsafe { *slot }
}
