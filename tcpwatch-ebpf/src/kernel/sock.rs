//! Full sockets: `struct sock` and `struct tcp_sock`.

use aya_ebpf::{btf_maps::SkStorage, helpers::generated, programs::BtfTracePointContext};
use tcpwatch_common::{Totals, books::HALF_OPEN, state::TIME_WAIT, totals::Numbers};

use super::{
    Addresses, Common, ListenerSock, Request, Room, addresses, field, mini::timeouts, not_zero,
    probe, unchecked_argument,
};
use crate::maps;

/// `IPPROTO_TCP`.
const PROTOCOL_TCP: u16 = 6;
/// `enum sock_flags`.
pub(crate) const SOCK_DEAD: u64 = 1 << 0;
/// See [`SOCK_DEAD`].
pub(crate) const SOCK_DONE: u64 = 1 << 1;
/// `SS_UNCONNECTED` in `include/uapi/linux/net.h`.
const SS_UNCONNECTED: u32 = 1;

/// `struct sock *` as a tracepoint handed it to us.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*const u8);

/// `struct tcp_sock *`, checked by the kernel to be a full TCP socket.
#[derive(Clone, Copy)]
pub(crate) struct TcpSock(pub(super) *const u8);

/// `struct sock *` that may be null, or any kind of socket.
#[derive(Clone, Copy)]
pub(crate) struct AnySock(*const u8);

impl AnySock {
    /// Argument `n` of a tracepoint whose type there is `struct sock *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: u32) -> Self {
        Self(unchecked_argument(ctx, n))
    }

    /// A copy of what it has in common with sockets of all kinds; `None` if there is no socket.
    #[inline(always)]
    pub(crate) fn copy(self, room: &mut Room) -> Option<Common<'_>> {
        Common::at(self.0, room)
    }

    /// Its address; 0 if there is no socket.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// Number of a full socket's cgroup; 0 if it is not known, or the kernel does not hand out a full one.
    #[inline(always)]
    pub(crate) fn cgroup(self, state: u8) -> u32 {
        let is_full = state != 0 && state != TIME_WAIT && state != HALF_OPEN;
        if is_full { ListenerSock(self.0).cgroup() } else { 0 }
    }

    /// Local port of a full socket, kept to the end.
    #[inline(always)]
    pub(crate) fn local_port(self) -> Option<u16> {
        probe(self.0, maps::INET_SPORT.load()).map(u16::from_be)
    }
}

impl Sock {
    /// Argument `n` of a tracepoint whose type there is `struct sock *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg::<*const u8>(n))
    }

    /// A full TCP socket, checked by the kernel.
    #[inline(always)]
    pub(super) const fn of_tcp(sock: *const u8) -> Self {
        Self(sock)
    }

    /// A half-open connection's socket, argument `n` of a tracepoint whose type there is
    /// `struct request_sock *`. Only what it has in common with a full socket may be asked for.
    #[inline(always)]
    pub(crate) fn request(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self::argument(ctx, n)
    }

    /// The same as a listener.
    #[inline(always)]
    pub(crate) fn as_listener(self) -> ListenerSock {
        ListenerSock(self.0)
    }

    /// The same as a half-open connection's socket.
    #[inline(always)]
    pub(crate) fn as_request(self) -> Request {
        Request(self.0)
    }

    /// Its address; never 0.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        field::<u16>(self.0, &maps::SK_PROTOCOL) == PROTOCOL_TCP
    }

    /// The number `ss -e` prints; the kernel makes it up at the first call.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        let cookie = self.known_cookie();
        if cookie != 0 {
            return cookie;
        }
        // SAFETY: the helper takes a `struct sock *` (tracing programs: since 5.12).
        unsafe { generated::bpf_get_socket_cookie(self.0.cast_mut().cast()) }
    }

    /// The same, if it has been made up; for sockets of any kind.
    #[inline(always)]
    pub(crate) fn known_cookie(self) -> u64 {
        field(self.0, &maps::SKC_COOKIE)
    }

    /// Hash of four-tuple and namespace.
    #[inline(always)]
    pub(crate) fn hash(self) -> u32 {
        field(self.0, &maps::SKC_HASH)
    }

    /// What `storage` holds for the socket; with `BPF_SK_STORAGE_GET_F_CREATE` zeros are made for it
    /// if there is nothing.
    #[inline(always)]
    pub(crate) fn storage<T>(self, storage: &SkStorage<T>, flags: u64) -> Option<*mut T> {
        let map = core::ptr::from_ref(storage).cast_mut().cast();
        // SAFETY: the helper takes a `struct sock *` (tracing programs: since 5.11) and a map.
        let value = unsafe {
            generated::bpf_sk_storage_get(
                map,
                self.0.cast_mut().cast(),
                core::ptr::null_mut(),
                flags,
            )
        };
        (!value.is_null()).then_some(value.cast())
    }

    /// Kernel state number.
    #[inline(always)]
    pub(crate) fn state(self) -> u8 {
        field(self.0, &maps::SKC_STATE)
    }

    /// Runs of a half-open connection's timer so far, a run under way not counted.
    #[inline(always)]
    pub(crate) fn request_timeouts(self) -> u8 {
        timeouts(field(self.0, &maps::RSK_NUM_TIMEOUT))
    }

    /// Is a half-open connection's timer armed? It is not while its handler runs.
    #[inline(always)]
    pub(crate) fn request_timer_is_armed(self) -> bool {
        // SAFETY: `rsk_timer` is a field of `struct request_sock`, the type of the pointer.
        let timer = unsafe { self.0.add(maps::RSK_TIMER.load() as usize) };
        field::<u64>(timer, &maps::TIMER_PPREV) != 0
    }

    #[inline(always)]
    pub(crate) fn as_tcp(self) -> Option<TcpSock> {
        // SAFETY: the helper takes any `struct sock *` and answers null for other protocols.
        let tcp = unsafe { generated::bpf_skc_to_tcp_sock(self.0.cast_mut().cast()) };
        (!tcp.is_null()).then_some(TcpSock(tcp.cast_const().cast()))
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

    /// Does a task hold the socket's lock (`lock_sock`)? Softirqs and timers that find it held put off what
    /// they would do, so that the current task is the one that holds it.
    #[inline(always)]
    pub(crate) fn is_locked_by_task(self) -> bool {
        field::<u32>(self.0, &maps::SK_OWNED) != 0
    }

    /// Has the application let go of the socket?
    #[inline(always)]
    pub(crate) fn is_orphan(self) -> bool {
        self.flags() & SOCK_DEAD != 0
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

impl TcpSock {
    /// Inode of the network namespace (`sk->__sk_common.skc_net.net->ns.inum`).
    ///
    /// A [`Sock`] is not asked: it is trusted, and of a pointer that is loaded through such a one the
    /// verifier wants to know whether it is trusted as well. For that it looks four times through all
    /// names of types, on each way that leads here (`btf_nested_type_is_trusted` in
    /// `kernel/bpf/verifier.c`, since 6.3): a fifth of all the time that tcpwatch took to start.
    #[inline(always)]
    pub(crate) fn netns(self) -> u32 {
        let net: *const u8 = field(self.0, &maps::SKC_NET);
        field(net, &maps::NS_INUM)
    }

    /// Number of the cgroup that it was made in (`sk->sk_cgrp_data.cgroup->kn->id`, see
    /// [`tcpwatch_common::RecordHead::cgroup`]); 0 if this kernel has no such field. An accepted socket is in its
    /// listener's (`sk_clone_lock` in `net/core/sock.c`); the process that holds it may have moved to another.
    ///
    /// `bpf_sk_cgroup_id` is for programs of the network only (`sk_filter`, `cgroup_skb`, tc).
    #[inline(always)]
    pub(crate) fn cgroup(self) -> u32 {
        if maps::HAS_CGROUP.load() == 0 {
            return 0;
        }
        let cgroup: *const u8 = field(self.0, &maps::TCP_CGROUP);
        let node: *const u8 = field(cgroup, &maps::CGROUP_KN);
        field::<u64>(node, &maps::KN_ID) as u32
    }

    /// Has it a file, so that system calls reach it? Sockets of the kernel itself have none, and neither has
    /// one that was not accepted yet.
    #[inline(always)]
    pub(crate) fn has_file(self) -> bool {
        let socket: *const u8 = field(self.0, &maps::TCP_SOCKET);
        !socket.is_null() && field::<u64>(socket, &maps::SOCKET_FILE) != 0
    }

    /// What the MPTCP connection is known by that the socket is a subflow of; `None` if it is none. No two live
    /// ones have the same token (`net/mptcp/token.c`).
    #[inline(always)]
    pub(crate) fn mptcp_token(self) -> Option<u32> {
        if maps::HAS_MPTCP.load() == 0 || field::<u8>(self.0, &maps::TCP_IS_MPTCP) & 1 == 0 {
            return None;
        }
        // `void *`: the verifier has no type for it.
        let subflow: *const u8 = field(self.0, &maps::ICSK_ULP_DATA);
        probe(subflow, maps::SUBFLOW_TOKEN.load()).filter(|token| *token != 0)
    }

    /// Local port in host order, kept to the end (`inet_sport`).
    #[inline(always)]
    pub(crate) fn local_port(self) -> u16 {
        u16::from_be(field(self.0, &maps::INET_SPORT))
    }

    /// 1 if nothing was sent since the socket was made or disconnected, and nothing is put off until there
    /// are data to send along (`TCP_FASTOPEN_CONNECT`).
    #[inline(always)]
    fn never_sent(self) -> u16 {
        let put_off = u16::from(!field::<*const u8>(self.0, &maps::TCP_FASTOPEN_REQ).is_null());
        (1 - not_zero(field(self.0, &maps::TCP_SEGS_OUT))) & (1 - put_off)
    }

    /// Bytes of data received so far. Fast open counts those of the SYN before anything else
    /// (`tcp_fastopen_add_skb` in `net/ipv4/tcp_fastopen.c`).
    #[inline(always)]
    pub(crate) fn bytes_received(self) -> u64 {
        field(self.0, &maps::TCP_BYTES_RECEIVED)
    }

    /// How long ago the last acknowledgment came, in nanoseconds; some ticks more or less (`tcp_ack` in
    /// `net/ipv4/tcp_input.c` sets `rcv_tstamp`, in ticks).
    #[inline(always)]
    pub(crate) fn acknowledged_ago(self) -> u64 {
        let at: u32 = field(self.0, &maps::TCP_RCV_TSTAMP);
        let ago = (super::jiffies() as u32).wrapping_sub(at);
        u64::from(ago) * maps::TICK_NS.load()
    }

    /// Retransmission timeout in ticks.
    #[inline(always)]
    pub(crate) fn rto(self) -> u32 {
        field(self.0, &maps::ICSK_RTO)
    }

    /// Is its timer armed for something (`icsk_pending`)? It is not while a retransmission is due
    /// (`tcp_write_timer_handler` in `net/ipv4/tcp_timer.c`).
    #[inline(always)]
    pub(crate) fn write_timer_is_pending(self) -> bool {
        field::<u8>(self.0, &maps::ICSK_PENDING) != 0
    }

    /// Retransmission timeouts in a row.
    #[inline(always)]
    pub(crate) fn timeouts(self) -> u8 {
        field(self.0, &maps::ICSK_RETRANSMITS)
    }

    /// `TCP_SYNCNT`, 0 if it is not set.
    #[inline(always)]
    pub(crate) fn syn_retries(self) -> u8 {
        field(self.0, &maps::ICSK_SYN_RETRIES)
    }

    /// `TCP_USER_TIMEOUT` in milliseconds, 0 for none.
    #[inline(always)]
    pub(crate) fn user_timeout_ms(self) -> u32 {
        field(self.0, &maps::ICSK_USER_TIMEOUT)
    }

    /// Segments sent again so far.
    #[inline(always)]
    pub(crate) fn retransmits(self) -> u32 {
        field(self.0, &maps::TCP_TOTAL_RETRANS)
    }

    /// How long the answer to its SYN took, in microseconds (at least 1); 0 if the SYN was sent again.
    /// For a socket that enters ESTABLISHED: nothing else was measured.
    #[inline(always)]
    pub(crate) fn syn_round_trip_us(self) -> u32 {
        if self.retransmits() == 0 { field::<u32>(self.0, &maps::TCP_SRTT_US) / 8 } else { 0 }
    }

    /// 1 if nothing was sent again, and the round trip is not known for all that, or only to the millisecond, as
    /// it is by the peer's timestamps (`tcp_rtt_tsopt_us` in `net/ipv4/tcp_input.c`). For a socket that enters
    /// ESTABLISHED.
    #[inline(always)]
    pub(crate) fn is_not_measured(self) -> u16 {
        if maps::TCP_SRTT_US.load() == 0 {
            return 0;
        }
        let round_trip = field::<u32>(self.0, &maps::TCP_SRTT_US) % 8000;
        1 - not_zero(round_trip | self.retransmits())
    }

    /// Bytes of data acknowledged so far, the SYN of a connection that goes out counted as one.
    #[inline(always)]
    pub(crate) fn bytes_acked(self) -> u64 {
        field(self.0, &maps::TCP_BYTES_ACKED)
    }

    /// What the socket has done so far, leaving a state.
    #[inline(always)]
    pub(crate) fn totals(self, state: u8) -> Totals {
        // SAFETY: `rtt_min.s` is a field of `struct tcp_sock`, the type of the pointer.
        let rtt_min = unsafe { self.0.add(maps::TCP_RTT_MIN.load() as usize) };
        let numbers = Numbers {
            bytes_sent: field(self.0, &maps::TCP_BYTES_SENT),
            bytes_retrans: field(self.0, &maps::TCP_BYTES_RETRANS),
            bytes_acked: self.bytes_acked(),
            snd_una: field(self.0, &maps::TCP_SND_UNA),
            snd_nxt: field(self.0, &maps::TCP_SND_NXT),
            write_seq: field(self.0, &maps::TCP_WRITE_SEQ),
            state,
        };
        let (bytes_retransmitted, undelivered) = numbers.judge();
        Totals {
            bytes_sent: numbers.bytes_sent,
            bytes_retransmitted,
            bytes_received: self.bytes_received(),
            retransmits: self.retransmits(),
            srtt_us_8: field(self.0, &maps::TCP_SRTT_US),
            min_rtt_us: field(rtt_min, &maps::MINMAX_SAMPLE_V),
            undelivered,
        }
    }

    /// 1 if it is under repair (`TCP_REPAIR`).
    #[inline(always)]
    pub(crate) fn repair(self) -> u16 {
        not_zero(u32::from(field::<u8>(self.0, &maps::TCP_REPAIR)) & maps::TCP_REPAIR_MASK.load())
    }

    /// 1 if something that was queued is not acknowledged, the FIN included.
    #[inline(always)]
    pub(crate) fn unacked(self) -> u16 {
        not_zero(self.write_seq() ^ field::<u32>(self.0, &maps::TCP_SND_UNA))
    }

    /// 1 if something that was queued is not sent, the FIN included.
    #[inline(always)]
    pub(crate) fn unsent(self) -> u16 {
        not_zero(self.write_seq() ^ field::<u32>(self.0, &maps::TCP_SND_NXT))
    }

    /// 1 if nothing was sent, and no sequence number chosen for it: there is none (`tcp_v4_connect`), or
    /// the one that a disconnect has left, two at least from `snd_una` (`tcp_disconnect`). For a SYN they
    /// are made the same, and the SYN adds one (`tcp_connect_init` and `tcp_connect` in
    /// `net/ipv4/tcp_output.c`).
    ///
    /// A socket that was never connected before has no hash for its transmissions until a port was found; then
    /// routing with that port may fail, before a number is chosen (`ip_route_newports` in `tcp_v4_connect`).
    #[inline(always)]
    pub(crate) fn unnumbered(self) -> u16 {
        let ahead = self.write_seq().wrapping_sub(field(self.0, &maps::TCP_SND_UNA));
        let txhash: u32 = field(self.0, &maps::TCP_TXHASH);
        let none = (1 - not_zero(self.write_seq() | txhash)) | not_zero(ahead >> 1);
        none & self.never_sent()
    }

    #[inline(always)]
    fn write_seq(self) -> u32 {
        field(self.0, &maps::TCP_WRITE_SEQ)
    }

    /// 1 if the application has it.
    #[inline(always)]
    pub(crate) fn has_socket(self) -> u16 {
        u16::from(!field::<*const u8>(self.0, &maps::SK_SOCKET).is_null())
    }

    /// 1 if the first step of `connect()` is still at work (`__inet_stream_connect` in
    /// `net/ipv4/af_inet.c`).
    #[inline(always)]
    pub(crate) fn connecting(self) -> u16 {
        // A fault at run time, where the pointer is null, reads as 0, SS_FREE.
        let socket: *const u8 = field(self.0, &maps::SK_SOCKET);
        1 - not_zero(field::<u32>(socket, &maps::SOCKET_STATE) ^ SS_UNCONNECTED)
    }

    /// The last error that ICMP brought while a system call was at work on the socket; 0 for none. The
    /// application may have read `sk_err_soft` (`SO_ERROR`), which clears it, but the message stays.
    #[inline(always)]
    pub(crate) fn soft_error(self, sock: Sock) -> u16 {
        let soft: u32 = field(sock.0, &maps::SK_ERR_SOFT);
        if soft != 0 || field::<u32>(self.0, &maps::SK_ERRORS) == 0 {
            return soft as u16;
        }
        let message: *const u8 = field(self.0, &maps::SK_LAST_ERROR);
        // SAFETY: `cb` is a field of `struct sk_buff`, the type of the pointer.
        let control = unsafe { message.add(maps::SKB_CB.load() as usize) };
        field::<u32>(control, &maps::EE_ERRNO) as u16
    }

    /// 1 if there is room for one more timewait socket in its namespace (`inet_twsk_alloc` in
    /// `net/ipv4/inet_timewait_sock.c`); 0 also if that cannot be read.
    #[inline(always)]
    pub(crate) fn tw_room(self) -> u16 {
        if maps::TW_REFCOUNT.load() == 0 {
            return 0;
        }
        let net: *const u8 = field(self.0, &maps::SKC_NET);
        // The count begins with 1.
        let most = u64::from(field::<u32>(net, &maps::TW_MOST));
        1 - (most.wrapping_sub(field::<u32>(net, &maps::TW_REFCOUNT).into()) >> 63) as u16
    }

    /// `TCP_LINGER2`: negative if the application has asked for no FIN_WAIT_2 after `close()`.
    #[inline(always)]
    pub(crate) fn linger2(self) -> i32 {
        field(self.0, &maps::TCP_LINGER2)
    }
}
