//! Reads of kernel memory: the only file with pointer arithmetic on it.
//!
//! Pointers come from tracepoint arguments, which the verifier types from BTF; offsets come from
//! the running kernel's BTF through frozen globals. The verifier checks every load here against
//! the kernel's own type at load time, and a fault at run time reads as zero.

use aya_ebpf::{
    EbpfContext as _, Global,
    helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_buf, generated},
    programs::BtfTracePointContext,
};
use tcpwatch_common::{MiniKind, config::MINI_BYTES, mini_socket::TRACE};

use crate::maps;

/// `IPPROTO_TCP`.
const PROTOCOL_TCP: u16 = 6;
/// Flags of `bpf_get_stack`: the kernel's stack without the program and its caller, so that fewer
/// frames have to be found.
const KERNEL_STACK: u64 = 2;
/// `AF_INET`.
const FAMILY_INET: u16 = 2;
/// `AF_INET6`.
const FAMILY_INET6: u16 = 10;
/// Third word of `::ffff:0:0/96`, as it lies in memory.
const MAPPED_PREFIX: u32 = 0xffff_u32.to_be();

/// `struct sock *` as a tracepoint handed it to us.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*const u8);

/// `struct tcp_sock *`, checked by the kernel to be a full TCP socket.
#[derive(Clone, Copy)]
pub(crate) struct TcpSock(*const u8);

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

/// `struct timer_list *` as a tracepoint handed it to us.
#[derive(Clone, Copy)]
pub(crate) struct Timer(*const u8);

impl Timer {
    /// Argument `n` of a tracepoint whose type there is `struct timer_list *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg::<*const u8>(n))
    }

    /// What the timer belongs to, by its handler; `None` for all the other timers of the system.
    #[inline(always)]
    pub(crate) fn mini_kind(self) -> Option<MiniKind> {
        let handler: u64 = field(self.0, &maps::TIMER_FUNCTION);
        if handler == maps::TW_TIMER_HANDLER.load() {
            return Some(MiniKind::TimeWait);
        }
        (handler == maps::REQSK_TIMER_HANDLER.load()).then_some(MiniKind::Request)
    }

    /// The jiffy before which the timer does not fire.
    #[inline(always)]
    pub(crate) fn expires(self) -> u64 {
        field(self.0, &maps::TIMER_EXPIRES)
    }
}

/// A copy of the first bytes of a mini-socket. The verifier knows no type for memory that lies
/// before a pointer it typed, so the object around a timer is read with `bpf_probe_read_kernel`.
#[derive(Clone, Copy)]
pub(crate) struct Mini<'a> {
    copy: &'a [u8; MINI_BYTES],
    kind: MiniKind,
}

/// Room for the copy. It is made once, in the hook: a program's stack has 512 bytes.
#[repr(C, align(8))]
pub(crate) struct Room(pub(crate) [u8; MINI_BYTES]);

impl<'a> Mini<'a> {
    /// The object that contains `timer`, copied into `room`.
    #[inline(always)]
    pub(crate) fn around(timer: Timer, kind: MiniKind, room: &'a mut Room) -> Option<Self> {
        let offset = match kind {
            MiniKind::TimeWait => maps::TW_TIMER.load(),
            MiniKind::Request => maps::RSK_TIMER.load(),
        };
        let object = timer.0.wrapping_sub(offset as usize);
        // SAFETY: the helper checks the address itself; the timer of a mini-socket lies `offset`
        // bytes behind the object's start.
        unsafe { bpf_probe_read_kernel_buf(object, &mut room.0) }.ok()?;
        Some(Self { copy: &room.0, kind })
    }

    #[inline(always)]
    fn field<T: Copy>(self, offset: &Global<u32>) -> T {
        // The verifier knows the frozen offset and checks that the read stays inside the copy.
        field(self.copy.as_ptr(), offset)
    }

    /// Kernel state number; half-open connections are in SYN_RECV.
    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        match self.kind {
            MiniKind::TimeWait => self.field(&maps::TW_SUBSTATE),
            MiniKind::Request => 3,
        }
    }

    /// Local and remote port in host order.
    #[inline(always)]
    pub(crate) fn ports(self) -> (u16, u16) {
        (self.field(&maps::SKC_NUM), u16::from_be(self.field(&maps::SKC_DPORT)))
    }

    /// 0 if nobody has asked for a cookie.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        self.field(&maps::SKC_COOKIE)
    }

    /// SYN+ACKs sent again so far.
    #[inline(always)]
    pub(crate) fn retransmits(self) -> u8 {
        match self.kind {
            MiniKind::TimeWait => 0,
            MiniKind::Request => self.field(&maps::RSK_NUM_RETRANS),
        }
    }

    /// Inode of the network namespace.
    #[inline(always)]
    pub(crate) fn netns(self) -> Option<u32> {
        self.read_net(&maps::NS_INUM)
    }

    /// The last reference to the network namespace is gone: `cleanup_net()` is at work.
    #[inline(always)]
    pub(crate) fn netns_is_gone(self) -> bool {
        self.read_net::<u32>(&maps::NS_COUNT) == Some(0)
    }

    #[inline(always)]
    fn read_net<T>(self, offset: &Global<u32>) -> Option<T> {
        let net: *const u8 = self.field(&maps::SKC_NET);
        let address = net.wrapping_add(offset.load() as usize);
        // SAFETY: the helper checks the address itself.
        unsafe { bpf_probe_read_kernel(address.cast::<T>()) }.ok()
    }

    /// Addresses; `None` for a family that is neither IPv4 nor IPv6.
    #[inline(always)]
    pub(crate) fn addresses(self) -> Option<Addresses> {
        addresses(self.copy.as_ptr())
    }
}

/// Name of the current task, 16 bytes padded with zeros.
#[inline(always)]
pub(crate) fn current_comm() -> [u64; 2] {
    let mut comm = [0; 2];
    // SAFETY: the buffer is as large as it is said to be, which is all the helper asks for.
    unsafe {
        generated::bpf_get_current_comm(comm.as_mut_ptr().cast(), size_of::<[u64; 2]>() as u32);
    }
    comm
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

impl Sock {
    /// Argument `n` of a tracepoint whose type there is `struct sock *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg::<*const u8>(n))
    }

    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        field::<u16>(self.0, &maps::SK_PROTOCOL) == PROTOCOL_TCP
    }

    /// The number `ss -e` prints; the kernel makes it up at the first call.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        let cookie: u64 = field(self.0, &maps::SKC_COOKIE);
        if cookie != 0 {
            return cookie;
        }
        // SAFETY: the helper takes a `struct sock *` (tracing programs: since 5.12).
        unsafe { generated::bpf_get_socket_cookie(self.0.cast_mut().cast()) }
    }

    #[inline(always)]
    pub(crate) fn as_tcp(self) -> Option<TcpSock> {
        // SAFETY: the helper takes any `struct sock *` and answers null for other protocols.
        let tcp = unsafe { generated::bpf_skc_to_tcp_sock(self.0.cast_mut().cast()) };
        (!tcp.is_null()).then_some(TcpSock(tcp.cast_const().cast()))
    }

    /// Inode of the network namespace (`sk->__sk_common.skc_net.net->ns.inum`).
    #[inline(always)]
    pub(crate) fn netns(self) -> u32 {
        let net: *const u8 = field(self.0, &maps::SKC_NET);
        field(net, &maps::NS_INUM)
    }

    /// Local port in host order; 0 while there is none, and again at the last change of a socket
    /// that the kernel bound by itself.
    #[inline(always)]
    pub(crate) fn bound_port(self) -> u16 {
        field(self.0, &maps::SKC_NUM)
    }

    /// Remote port in host order.
    #[inline(always)]
    pub(crate) fn remote_port(self) -> u16 {
        u16::from_be(field(self.0, &maps::SKC_DPORT))
    }

    /// `enum sock_flags` as bits.
    #[inline(always)]
    pub(crate) fn flags(self) -> u64 {
        field(self.0, &maps::SKC_FLAGS)
    }

    /// `sk_err`, a positive errno.
    #[inline(always)]
    pub(crate) fn error(self) -> u16 {
        field::<u32>(self.0, &maps::SK_ERR) as u16
    }

    /// Addresses; `None` for a family that is neither IPv4 nor IPv6.
    #[inline(always)]
    pub(crate) fn addresses(self) -> Option<Addresses> {
        addresses(self.0)
    }
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

impl TcpSock {
    /// Local port in host order, kept to the end (`inet_sport`).
    #[inline(always)]
    pub(crate) fn local_port(self) -> u16 {
        u16::from_be(field(self.0, &maps::INET_SPORT))
    }

    /// Bytes of data received so far. Fast open counts those of the SYN before anything else
    /// (`tcp_fastopen_add_skb` in `net/ipv4/tcp_fastopen.c`).
    #[inline(always)]
    pub(crate) fn bytes_received(self) -> u64 {
        field(self.0, &maps::TCP_BYTES_RECEIVED)
    }

    /// `TCP_LINGER2`: negative if the application wants no FIN_WAIT_2 after `close()`.
    #[inline(always)]
    pub(crate) fn linger2(self) -> i32 {
        field(self.0, &maps::TCP_LINGER2)
    }
}

#[inline(always)]
fn is_mapped([a, b, c, _]: [u32; 4]) -> bool {
    a == 0 && b == 0 && c == MAPPED_PREFIX
}
