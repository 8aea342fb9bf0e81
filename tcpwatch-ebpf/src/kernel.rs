//! Reads of kernel memory: the only file with pointer arithmetic on it.
//!
//! Pointers come from tracepoint arguments, which the verifier types from BTF; offsets come from
//! the running kernel's BTF through frozen globals. The verifier checks every load here against
//! the kernel's own type at load time, and a fault at run time reads as zero.

use aya_ebpf::{Global, helpers::generated, programs::BtfTracePointContext};

use crate::maps;

/// `IPPROTO_TCP`.
const PROTOCOL_TCP: u16 = 6;
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
        match field::<u16>(self.0, &maps::SKC_FAMILY) {
            FAMILY_INET => Some(self.addresses_v4()),
            FAMILY_INET6 => {
                let local: [u32; 4] = field(self.0, &maps::SKC_V6_RCV_SADDR);
                let remote: [u32; 4] = field(self.0, &maps::SKC_V6_DADDR);
                if is_mapped(local) || is_mapped(remote) {
                    return Some(self.addresses_v4());
                }
                Some(Addresses::V6 { local, remote })
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn addresses_v4(self) -> Addresses {
        Addresses::V4 {
            local: field(self.0, &maps::SKC_RCV_SADDR),
            remote: field(self.0, &maps::SKC_DADDR),
        }
    }
}

impl TcpSock {
    /// Local port in host order. `skc_num` would be 0 at the last change of a socket that the
    /// kernel bound by itself; `inet_sport` keeps the port.
    #[inline(always)]
    pub(crate) fn local_port(self) -> u16 {
        u16::from_be(field(self.0, &maps::INET_SPORT))
    }
}

#[inline(always)]
fn is_mapped([a, b, c, _]: [u32; 4]) -> bool {
    a == 0 && b == 0 && c == MAPPED_PREFIX
}
