//! Reads of kernel memory: `mod.rs` does the pointer arithmetic, the only one on kernel memory; one
//! file per object says what is where.
//!
//! Pointers come from tracepoint arguments, which the verifier types from BTF; offsets come from
//! the running kernel's BTF through frozen globals. The verifier checks every load here against
//! the kernel's own type at load time, and a fault at run time reads as zero. What the verifier has
//! no type for is copied with `bpf_probe_read_kernel`.

mod any_tcp;
mod common;
mod listener;
mod mini;
mod packet;
mod segment;
mod sock;
mod storage_iterator;
mod task;
mod write_timer;

use aya_ebpf::{
    EbpfContext as _, Global,
    helpers::{bpf_probe_read_kernel, generated},
    programs::BtfTracePointContext,
};
use tcpwatch_common::{mini_closing::MAX_ENDINGS, mini_socket::TRACE};

use crate::maps;

pub(crate) use any_tcp::{AnyTcp, Seeded, TcpIterator};
pub(crate) use common::{Common, Room};
pub(crate) use listener::{ListenerQueues, ListenerSock};
pub(crate) use mini::{MiniCopy, Request, Timer, are_watched};
pub(crate) use packet::{Between, Packet, interface};
pub(crate) use segment::SkBuff;
pub(crate) use sock::{AnySock, SOCK_DEAD, SOCK_DONE, Sock, TcpSock};
pub(crate) use storage_iterator::{FileIterator, StorageIterator};
pub(crate) use task::TaskStruct;
pub(crate) use write_timer::Due;

/// Flags of `bpf_get_stack`: the kernel's stack without the program and its caller, so that fewer
/// frames have to be found.
const KERNEL_STACK: u64 = 2;
/// `AF_INET`.
const FAMILY_INET: u16 = 2;
/// `AF_INET6`.
const FAMILY_INET6: u16 = 10;
/// Third word of `::ffff:0:0/96`, as it lies in memory.
const MAPPED_PREFIX: u32 = 0xffff_u32.to_be();

/// Both addresses of a socket as they are on the wire.
pub(crate) enum Addresses {
    V4 { local: [u32; 1], remote: [u32; 1] },
    V6 { local: [u32; 4], remote: [u32; 4] },
}

#[inline(always)]
fn field<T: Copy>(base: *const u8, offset: &Global<u32>) -> T {
    // SAFETY: `base` is a kernel pointer typed by the verifier and the offset is that of a field of
    // its type, so the result stays inside the object.
    let pointer = unsafe { base.add(offset.load() as usize) };
    // SAFETY: the verifier admits this load only if a field of this size is there; kernel fields
    // are naturally aligned.
    unsafe { pointer.cast::<T>().read() }
}

/// 1 if a number is not 0, without a jump.
#[inline(always)]
pub(crate) fn not_zero(number: u32) -> u16 {
    ((u64::from(number) + u64::from(u32::MAX)) >> 32) as u16
}

/// The value at `base + offset`; `None` if that cannot be read. For pointers that the verifier does
/// not know or that may be null.
#[inline(always)]
fn probe<T>(base: *const u8, offset: u32) -> Option<T> {
    let address = base.wrapping_add(offset as usize);
    // SAFETY: the helper checks the address itself.
    unsafe { bpf_probe_read_kernel(address.cast::<T>()) }.ok()
}

/// Argument `n` of a tracepoint, a pointer that may be null. The verifier of some kernels believes
/// that it never is and drops checks; read as memory it is a number to it, fit for [`probe`] only.
#[inline(always)]
fn unchecked_argument(ctx: &BtfTracePointContext, n: u32) -> *const u8 {
    probe(ctx.as_ptr().cast_const().cast(), n * 8).unwrap_or(core::ptr::null())
}

/// The present jiffy.
#[inline(always)]
pub(crate) fn jiffies() -> u64 {
    // SAFETY: the helper takes nothing and always succeeds (since 5.5).
    unsafe { generated::bpf_jiffies64() }
}

/// Writes the return addresses of the kernel functions that led here to `trace`, innermost first,
/// and zeros behind them.
#[inline(always)]
pub(crate) fn write_call_trace(ctx: &BtfTracePointContext, trace: *mut [u64; TRACE]) {
    let bytes = size_of::<[u64; TRACE]>() as u32;
    // SAFETY: the caller owns the memory at `trace`, which is as large as it is said to be.
    unsafe {
        generated::bpf_get_stack(ctx.as_ptr(), trace.cast(), bytes, KERNEL_STACK);
    }
}

/// The number of the [`tcpwatch_common::EarlyEnd`] that the functions under way stand for, innermost
/// first; 0 for none. Not inlined: it takes room on the stack, and is rare.
#[inline(never)]
pub(crate) fn early_end(ctx: &BtfTracePointContext) -> u32 {
    let Some(trace) = maps::CALL_TRACE.get_ptr_mut(0) else { return 0 };
    write_call_trace(ctx, trace);
    // SAFETY: the lookup returned a live value of this CPU, and programs on timers never interrupt each
    // other.
    let trace = unsafe { &*trace };
    for address in trace {
        for place in 0..MAX_ENDINGS as u32 {
            let Some(ending) = maps::ENDINGS.get(place) else { return 0 };
            if ending.start <= *address && *address < ending.end {
                return ending.what as u32;
            }
        }
    }
    0
}

/// Addresses in the `struct sock_common` at `base`.
#[inline(always)]
fn addresses(base: *const u8) -> Option<Addresses> {
    match field::<u16>(base, &maps::SKC_FAMILY) {
        FAMILY_INET => Some(addresses_v4(base)),
        FAMILY_INET6 => {
            let local: [u32; 4] = field(base, &maps::SKC_V6_RCV_SADDR);
            let remote: [u32; 4] = field(base, &maps::SKC_V6_DADDR);
            if is_mapped(local) || is_mapped(remote) {
                return Some(addresses_v4(base));
            }
            Some(Addresses::V6 { local, remote })
        }
        _ => None,
    }
}

#[inline(always)]
fn addresses_v4(base: *const u8) -> Addresses {
    Addresses::V4 {
        local: field(base, &maps::SKC_RCV_SADDR),
        remote: field(base, &maps::SKC_DADDR),
    }
}

#[inline(always)]
fn is_mapped([a, b, c, _]: [u32; 4]) -> bool {
    a == 0 && b == 0 && c == MAPPED_PREFIX
}
