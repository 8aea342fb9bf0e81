//! Programs of the tests, not of tcpwatch: one per tracepoint that tcpwatch uses, on another road.
//!
//! They are raw tracepoints, read arguments by probing, and write into a ring of their own; nothing is
//! shared with tcpwatch's programs. `tests/coverage` compares what they saw with what ftrace saw of the
//! same tracepoints: an event that only ftrace saw is one for which the kernel ran no BPF program.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::inline_always,
    reason = "BPF functions have five arguments at most and no stack to spare: small helpers inline"
)]
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a checked conversion has a panicking path, which the verifier refuses"
)]
#![expect(clippy::needless_pass_by_value, reason = "aya's macros hand contexts over by value")]

use aya_ebpf::{
    Global,
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{PerCpuArray, RingBuf},
    helpers::{bpf_ktime_get_ns, bpf_probe_read_kernel},
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};

/// One run of a program. `tests/coverage/bpf.rs` reads the same layout.
#[derive(Clone, Copy)]
#[repr(C)]
struct ProgramRun {
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    at: u64,
    /// Address of the `struct sock` or `struct timer_list` that the tracepoint was given.
    object: u64,
    /// Inode of its network namespace; 0 if it cannot be read.
    netns: u32,
    /// The number of the tracepoint, as below.
    tracepoint: u32,
    /// The old and the new state of `inet_sock_set_state`, else 0.
    old: u32,
    new: u32,
}

const SET_STATE: u32 = 0;
const RETRANSMIT: u32 = 1;
const RETRANSMIT_SYNACK: u32 = 2;
const SEND_RESET: u32 = 3;
const RECEIVE_RESET: u32 = 4;
const TIMER_START: u32 = 5;
const TIMER_CANCEL: u32 = 6;
const TIMER_EXPIRE: u32 = 7;
const ERROR_REPORT: u32 = 8;
const TRACEPOINTS: usize = 9;

/// 1 if each run is to be written into [`SEEN`]; otherwise it is counted only.
#[unsafe(no_mangle)]
static WITH_RECORDS: Global<u8> = Global::new(0);
/// `offsetof(struct sock_common, skc_net)`.
#[unsafe(no_mangle)]
static SKC_NET: Global<u32> = Global::new(0);
/// `offsetof(struct net, ns.inum)`.
#[unsafe(no_mangle)]
static NET_INUM: Global<u32> = Global::new(0);
/// `offsetof(struct timer_list, function)`.
#[unsafe(no_mangle)]
static TIMER_FUNCTION: Global<u32> = Global::new(0);
/// Addresses of `tw_timer_handler` and `reqsk_timer_handler`.
#[unsafe(no_mangle)]
static HANDLERS: Global<[u64; 2]> = Global::new([0; 2]);
/// `offsetof(struct inet_timewait_sock, tw_timer)`, `offsetof(struct request_sock, rsk_timer)`.
#[unsafe(no_mangle)]
static TIMER_IN: Global<[u32; 2]> = Global::new([0; 2]);

/// One entry per run, if asked for.
#[btf_map]
static SEEN: RingBuf<ProgramRun, { 32 << 20 }> = RingBuf::new();

/// Runs per tracepoint; [`TRACEPOINTS`] is what found no room in [`SEEN`].
#[btf_map]
static RUNS: PerCpuArray<u64, { TRACEPOINTS + 1 }> = PerCpuArray::new();

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn cover_set_state(ctx: RawTracePointContext) -> i32 {
    count(SET_STATE);
    let (old, new) = (ctx.arg::<u64>(1) as u32, ctx.arg::<u64>(2) as u32);
    write_sock(&ctx, SET_STATE, (old, new))
}

#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
fn cover_retransmit(ctx: RawTracePointContext) -> i32 {
    count(RETRANSMIT);
    write_sock(&ctx, RETRANSMIT, (0, 0))
}

#[raw_tracepoint(tracepoint = "tcp_retransmit_synack")]
fn cover_synack(ctx: RawTracePointContext) -> i32 {
    count(RETRANSMIT_SYNACK);
    write_sock(&ctx, RETRANSMIT_SYNACK, (0, 0))
}

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
fn cover_send_reset(ctx: RawTracePointContext) -> i32 {
    count(SEND_RESET);
    write_sock(&ctx, SEND_RESET, (0, 0))
}

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
fn cover_recv_reset(ctx: RawTracePointContext) -> i32 {
    count(RECEIVE_RESET);
    write_sock(&ctx, RECEIVE_RESET, (0, 0))
}

#[raw_tracepoint(tracepoint = "timer_start")]
fn cover_start(ctx: RawTracePointContext) -> i32 {
    mini_timer(&ctx, TIMER_START)
}

#[raw_tracepoint(tracepoint = "timer_cancel")]
fn cover_cancel(ctx: RawTracePointContext) -> i32 {
    mini_timer(&ctx, TIMER_CANCEL)
}

#[raw_tracepoint(tracepoint = "timer_expire_entry")]
fn cover_expire(ctx: RawTracePointContext) -> i32 {
    mini_timer(&ctx, TIMER_EXPIRE)
}

#[raw_tracepoint(tracepoint = "inet_sk_error_report")]
fn cover_error(ctx: RawTracePointContext) -> i32 {
    count(ERROR_REPORT);
    write_sock(&ctx, ERROR_REPORT, (0, 0))
}

#[inline(always)]
fn count(slot: u32) {
    if let Some(runs) = RUNS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own entry. A program of another tracepoint that interrupts this one has
        // another slot; one of the same tracepoint does not run then.
        unsafe { *runs += 1 }
    }
}

/// Writes a run about the socket in argument 0.
#[inline(always)]
fn write_sock(ctx: &RawTracePointContext, tracepoint: u32, states: (u32, u32)) -> i32 {
    let sock = ctx.arg::<u64>(0);
    write(tracepoint, sock, sock, states)
}

/// Counts and writes a run about the timer in argument 0, if it is a mini-socket's. Of `timer_cancel`
/// all runs are counted, because ftrace cannot filter by what the event does not carry.
#[inline(always)]
fn mini_timer(ctx: &RawTracePointContext, tracepoint: u32) -> i32 {
    if tracepoint == TIMER_CANCEL {
        count(tracepoint);
    }
    let timer = ctx.arg::<u64>(0);
    let function = probe::<u64>(timer + u64::from(TIMER_FUNCTION.load()));
    let (handlers, places) = (HANDLERS.load(), TIMER_IN.load());
    let place = if function == handlers[0] {
        places[0]
    } else if function == handlers[1] {
        places[1]
    } else {
        return 0;
    };
    if tracepoint != TIMER_CANCEL {
        count(tracepoint);
    }
    write(tracepoint, timer, timer - u64::from(place), (0, 0))
}

#[inline(always)]
fn write(tracepoint: u32, object: u64, sock: u64, (old, new): (u32, u32)) -> i32 {
    if WITH_RECORDS.load() == 0 {
        return 0;
    }
    let net = probe::<u64>(sock + u64::from(SKC_NET.load()));
    let netns = probe::<u32>(net + u64::from(NET_INUM.load()));
    // SAFETY: the helper takes nothing.
    let at = unsafe { bpf_ktime_get_ns() };
    let seen = ProgramRun { at, object, netns, tracepoint, old, new };
    if SEEN.output(seen, u64::from(BPF_RB_NO_WAKEUP)).is_err() {
        count(TRACEPOINTS as u32);
    }
    0
}

/// The value at an address of kernel memory; 0 if it cannot be read.
#[inline(always)]
fn probe<T: Default>(address: u64) -> T {
    // SAFETY: the helper checks the address itself.
    unsafe { bpf_probe_read_kernel(address as *const T) }.unwrap_or_default()
}

/// Lets clippy and tests build this for the host, where no kernel calls it.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier would have to accept a path that panics.
    loop {}
}

/// GPL-only helpers load only for a program that says so.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
