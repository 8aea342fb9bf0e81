//! Puts records into the ring and accounts for each of them: the only file that touches `EVENTS`
//! and `COUNTERS`.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_ns,
    maps::ring_buf::RingBufEntry,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::warn;
use tcpwatch_common::{
    Counter, Family, MiniSocket, MiniSocketCancel, Record, RecordHead, RecordKind, counter::Hook,
};

use crate::{
    kernel,
    maps::{self, COUNTERS, EVENTS},
    wakeup,
};

/// Why a record did not reach the ring.
#[derive(Clone, Copy)]
pub(crate) enum EmitFailure {
    RingFull,
    /// A socket that says it is TCP but is not a full TCP socket.
    NotATcpSocket,
    /// A TCP socket of a family that is neither IPv4 nor IPv6.
    UnknownFamily,
    /// A mini-socket or a segment whose memory cannot be read.
    Unreadable,
    UndecidedFull,
}

/// Do records go into the ring?
#[inline(always)]
pub(crate) fn is_on() -> bool {
    maps::STREAM.load() != 0
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
        cgroup: 0,
    }
}

/// The head of a record with IPv4 addresses.
#[inline(always)]
pub(crate) fn v4(head: RecordHead) -> RecordHead {
    RecordHead { family: Family::V4 as u8, ..head }
}

/// The head of a record with IPv6 addresses.
#[inline(always)]
pub(crate) fn v6(head: RecordHead) -> RecordHead {
    RecordHead { family: Family::V6 as u8, ..head }
}

/// Copies the record into the ring and hands it over.
#[inline(always)]
pub(crate) fn emit<R: Record>(record: R) -> Result<(), EmitFailure> {
    let mut entry = reserve::<R>()?;
    entry.write(record);
    hand_over(entry);
    Ok(())
}

/// Room in the ring for a record that is put together there, because the stack has none for it. It has to be
/// given to [`hand_over`].
#[inline(always)]
pub(crate) fn reserve<R: Record>() -> Result<RingBufEntry<R>, EmitFailure> {
    EVENTS.reserve_untyped::<R>(0).ok_or(EmitFailure::RingFull)
}

/// The same, with the kernel functions that led here. They are written straight into the ring: the
/// stack of a program is too small for a copy.
#[inline(always)]
pub(crate) fn emit_traced<const WORDS: usize>(
    mini: MiniSocket<WORDS>,
    ctx: &BtfTracePointContext,
) -> Result<(), EmitFailure> {
    let mut entry = reserve::<MiniSocketCancel<WORDS>>()?;
    let record = entry.as_mut_ptr();
    // SAFETY: the entry is reserved for a record of this type; only addresses are taken here.
    let head = unsafe { &raw mut (*record).mini };
    // SAFETY: as above.
    let trace = unsafe { &raw mut (*record).trace };
    // SAFETY: the entry belongs to this program until it is handed over.
    unsafe { head.write(mini) };
    kernel::write_call_trace(ctx, trace);
    hand_over(entry);
    Ok(())
}

/// Gives a record that is complete to user space.
#[inline(always)]
pub(crate) fn hand_over<R: Record>(entry: RingBufEntry<R>) {
    if wakeup::take_request() {
        entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
    } else {
        entry.submit(u64::from(BPF_RB_NO_WAKEUP));
        wakeup::wake_if_requested();
    }
}

/// Counts a loss under its cause; the first complaint of its kind on a CPU is also logged.
#[inline(always)]
pub(crate) fn count_loss(ctx: &BtfTracePointContext, loss: EmitFailure, hook: Hook) {
    let counter = match loss {
        EmitFailure::RingFull => {
            add_one(Counter::RingFull, hook);
            return;
        }
        EmitFailure::UndecidedFull => Counter::UndecidedFull,
        EmitFailure::NotATcpSocket | EmitFailure::UnknownFamily | EmitFailure::Unreadable => {
            Counter::Unreadable
        }
    };
    // These come before the record was announced.
    attempt(hook);
    if add_one(counter, hook) == 1 {
        complain(ctx, loss);
    }
}

/// Counts what is neither a record nor a loss.
#[inline(always)]
pub(crate) fn count(counter: Counter, hook: Hook) {
    add_one(counter, hook);
}

/// Counts an announced record that found the ring full.
#[inline(always)]
pub(crate) fn count_full_ring(hook: Hook) {
    add_one(Counter::RingFull, hook);
}

/// Not inlined: it is long, rare, and the same for every hook.
#[inline(never)]
fn complain(ctx: &BtfTracePointContext, loss: EmitFailure) {
    match loss {
        EmitFailure::RingFull => {}
        EmitFailure::UndecidedFull => {
            warn!(ctx, "too many connects wait for their port to be known");
        }
        EmitFailure::NotATcpSocket => warn!(ctx, "skipped a TCP socket that is not a full socket"),
        EmitFailure::UnknownFamily => {
            warn!(ctx, "skipped a TCP socket of an unknown address family");
        }
        EmitFailure::Unreadable => {
            warn!(ctx, "skipped a mini-socket or segment that cannot be read");
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
