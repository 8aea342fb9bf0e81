//! A TCP socket of any kind, as an iterator of the kernel hands it out.

use aya_ebpf::helpers::generated::{bpf_skc_to_tcp_request_sock, bpf_skc_to_tcp_timewait_sock};
use tcpwatch_common::MiniKind;

use super::field;
use crate::maps;

/// `struct sock_common *` that the verifier has typed; never null.
#[derive(Clone, Copy)]
pub(crate) struct AnyTcp(*const u8);

impl AnyTcp {
    /// Field `sk_common` of `struct bpf_iter__tcp` (`net/ipv4/tcp_ipv4.c`), the second of its words;
    /// `None` after the last socket.
    ///
    /// # Safety
    /// `context` is that of a program on `iter/tcp`.
    #[inline(always)]
    pub(crate) unsafe fn of_iterator(context: *const u8) -> Option<Self> {
        // SAFETY: the caller says what the context is.
        let socket = unsafe { context.cast::<*const u8>().add(1) };
        // SAFETY: as above.
        let socket = unsafe { socket.read() };
        (!socket.is_null()).then_some(Self(socket))
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

/// `function` of the `struct timer_list` that lies `timer` bytes inside `mini`.
#[inline(always)]
fn handler(mini: *const u8, timer: u32) -> u64 {
    // SAFETY: the offset is that of a member of the object.
    let timer = unsafe { mini.add(timer as usize) };
    field(timer, &maps::TIMER_FUNCTION)
}
