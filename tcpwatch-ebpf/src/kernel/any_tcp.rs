//! A TCP socket of any kind, as an iterator of the kernel hands it out.

use aya_ebpf::{
    Global,
    bindings::seq_file,
    helpers::generated::{
        bpf_seq_write, bpf_skc_to_tcp_request_sock, bpf_skc_to_tcp_sock,
        bpf_skc_to_tcp_timewait_sock,
    },
};
use tcpwatch_common::MiniKind;

use super::{Sock, field};
use crate::maps;

/// `struct bpf_iter__tcp` (`net/ipv4/tcp_ipv4.c`), as far as it is read.
#[repr(C)]
pub(crate) struct TcpIterator {
    meta: *const IteratorMeta,
    sk_common: *const u8,
}

/// `struct bpf_iter_meta` (`include/linux/bpf.h`), as far as it is read.
#[repr(C)]
pub(super) struct IteratorMeta {
    seq: *mut seq_file,
}

impl TcpIterator {
    /// Writes a value to the reader's file.
    #[inline(always)]
    pub(crate) fn write<T: Copy>(&self, value: &T) {
        write(self.meta, value);
    }
}

/// Writes a value to the file of an iterator's reader. One that does not fit is asked for again (`bpf_seq_read` in
/// `kernel/bpf/bpf_iter.c`).
#[inline(always)]
pub(super) fn write<T: Copy>(meta: *const IteratorMeta, value: &T) {
    // SAFETY: the kernel's pointer to what belongs to this iterator is never null.
    let file = unsafe { (*meta).seq };
    // SAFETY: the value is as large as it is said to be.
    unsafe {
        bpf_seq_write(file, (&raw const *value).cast(), size_of::<T>() as u32);
    }
}

/// `struct sock_common *` that the verifier has typed; never null.
#[derive(Clone, Copy)]
pub(crate) struct AnyTcp(*const u8);

impl AnyTcp {
    /// The socket that the iterator has come to; `None` after the last.
    #[inline(always)]
    pub(crate) fn of_iterator(context: &TcpIterator) -> Option<Self> {
        (!context.sk_common.is_null()).then_some(Self(context.sk_common))
    }

    /// What mini-socket it is, and the function that its timer runs. The kernel's helpers return typed
    /// pointers (since 5.9), so that the function is read by type.
    #[inline(always)]
    pub(crate) fn mini_handler(self) -> Option<(MiniKind, u64)> {
        // SAFETY: the helper takes any `struct sock_common` and returns null for another kind.
        let timewait = unsafe { bpf_skc_to_tcp_timewait_sock(self.0.cast_mut().cast()) };
        if !timewait.is_null() {
            return Some((MiniKind::TimeWait, handler(timewait.cast(), maps::TW_TIMER.load())));
        }
        // SAFETY: as above.
        let request = unsafe { bpf_skc_to_tcp_request_sock(self.0.cast_mut().cast()) };
        if request.is_null() {
            return None;
        }
        Some((MiniKind::Request, handler(request.cast(), maps::RSK_TIMER.load())))
    }

    /// Local and remote port in host order.
    #[inline(always)]
    pub(crate) fn ports(self) -> (u16, u16) {
        let remote: u16 = field(self.0, &maps::SKC_DPORT);
        (field(self.0, &maps::SKC_NUM), u16::from_be(remote))
    }
}

/// A socket and what it is counted by.
pub(crate) enum Seeded {
    Full(Sock),
    /// With the address of its timer, and the state that it stands for.
    Timewait {
        timer: u64,
        state: u8,
    },
    /// A half-open connection, with the address of its timer.
    Request {
        timer: u64,
    },
}

impl AnyTcp {
    /// What kind of socket it is; `None` for another protocol's.
    #[inline(always)]
    pub(crate) fn seeded(self) -> Option<Seeded> {
        // SAFETY: the helper takes any `struct sock_common` and returns null for another kind.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.0.cast_mut().cast()) };
        if !tcp.is_null() {
            return Some(Seeded::Full(Sock::of_tcp(tcp.cast_const().cast())));
        }
        // SAFETY: as above.
        let timewait = unsafe { bpf_skc_to_tcp_timewait_sock(self.0.cast_mut().cast()) };
        if !timewait.is_null() {
            let state = field(timewait.cast_const().cast(), &maps::TW_SUBSTATE);
            return Some(Seeded::Timewait {
                timer: address(timewait.cast(), &maps::TW_TIMER),
                state,
            });
        }
        // SAFETY: as above.
        let request = unsafe { bpf_skc_to_tcp_request_sock(self.0.cast_mut().cast()) };
        if request.is_null() {
            return None;
        }
        Some(Seeded::Request { timer: address(request.cast(), &maps::RSK_TIMER) })
    }

    /// Is a mini-socket's timer armed?
    #[inline(always)]
    pub(crate) fn timer_is_armed(self) -> bool {
        // SAFETY: as above.
        let timewait = unsafe { bpf_skc_to_tcp_timewait_sock(self.0.cast_mut().cast()) };
        if !timewait.is_null() {
            return is_armed(timewait.cast(), maps::TW_TIMER.load());
        }
        // SAFETY: as above.
        let request = unsafe { bpf_skc_to_tcp_request_sock(self.0.cast_mut().cast()) };
        !request.is_null() && is_armed(request.cast(), maps::RSK_TIMER.load())
    }
}

/// Address of the member at `offset`.
#[inline(always)]
fn address(object: *const u8, offset: &Global<u32>) -> u64 {
    object.expose_provenance() as u64 + u64::from(offset.load())
}

/// Is the `struct timer_list` that lies `timer` bytes inside `mini` armed? Yes where that cannot be read.
#[inline(always)]
fn is_armed(mini: *const u8, timer: u32) -> bool {
    // SAFETY: the offset is that of a member of the object.
    let timer = unsafe { mini.add(timer as usize) };
    maps::TIMER_PPREV.load() == 0 || field::<u64>(timer, &maps::TIMER_PPREV) != 0
}

/// `function` of the `struct timer_list` that lies `timer` bytes inside `mini`.
#[inline(always)]
fn handler(mini: *const u8, timer: u32) -> u64 {
    // SAFETY: the offset is that of a member of the object.
    let timer = unsafe { mini.add(timer as usize) };
    field(timer, &maps::TIMER_FUNCTION)
}
