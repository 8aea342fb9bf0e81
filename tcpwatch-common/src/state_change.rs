//! One state change of a full TCP socket.
//!
//! Producer: `tcpwatch-ebpf/src/inet_sock_set_state.rs`. Consumer:
//! `tcpwatch/core/src/decode/state_change.rs`.

use crate::record::RecordHead;

/// [`RecordHead::flags`]: the application has let go of the socket (`SOCK_DEAD`).
pub const FLAG_DEAD: u16 = 1 << 0;
/// [`RecordHead::flags`]: the peer's FIN has been received (`SOCK_DONE`).
pub const FLAG_DONE: u16 = 1 << 1;
/// [`RecordHead::flags`]: `pid` and `comm` name the task that made the change by a system call.
pub const FLAG_TASK: u16 = 1 << 2;

/// [`RecordHead::flags`]: the change was kept back until a port was known; its time is older than
/// its place in the ring.
pub const FLAG_KEPT_BACK: u16 = 1 << 3;
/// [`RecordHead::flags`]: the application has asked for no FIN_WAIT_2 after `close()` (`TCP_LINGER2` < 0).
pub const FLAG_LINGER2_OFF: u16 = 1 << 4;

/// [`RecordHead::flags`]: data came before the handshake was done; leaving SYN_SENT, the answer to the
/// SYN acknowledges data (fast open).
pub const FLAG_FAST_OPEN: u16 = 1 << 5;

/// [`RecordHead::flags`], leaving SYN_RECV for ESTABLISHED: no timer of a request socket was disarmed on this
/// processor since the socket was made, nothing was sent again, and its round trip was not measured, or only by the
/// timestamp of the peer, in whole milliseconds. So the request socket was made from a SYN cookie (`tcp_get_cookie_sock` in
/// `net/ipv4/syncookies.c`): one that was waiting has its timer disarmed between these changes
/// (`inet_csk_complete_hashdance`), and its round trip is measured in microseconds (`tcp_check_req`); with fast open,
/// too (`tcp_rcv_state_process`).
pub const FLAG_SYN_COOKIE: u16 = 1 << 6;

// Set on the way to CLOSED only; `crate::closing` says what they mean.

/// [`RecordHead::flags`]: [`StateChange::error`] is not `sk_err`, which is 0, but the last error that ICMP
/// brought in SYN_SENT (`sk_err_soft`, or the last of `sk_error_queue`).
pub const FLAG_SOFT_ERROR: u16 = 1 << 6;
/// [`RecordHead::flags`]: the socket is under repair (`TCP_REPAIR`).
pub const FLAG_REPAIR: u16 = 1 << 7;
/// [`RecordHead::flags`]: `connect()` itself fails (`SS_UNCONNECTED` in SYN_SENT).
pub const FLAG_CONNECT_FAILED: u16 = 1 << 8;
/// [`RecordHead::flags`]: no sequence number was chosen yet (`write_seq` is 0).
pub const FLAG_UNNUMBERED: u16 = 1 << 9;
/// [`RecordHead::flags`]: the SYN was sent again, or its timeout passed and the network below did not take it.
pub const FLAG_RETRIED: u16 = 1 << 10;
/// [`RecordHead::flags`]: the application has never had the socket (`sk_socket` is null).
pub const FLAG_NO_SOCKET: u16 = 1 << 11;
/// [`RecordHead::flags`]: not all that was queued is acknowledged, the FIN included
/// (`snd_una != write_seq`).
pub const FLAG_UNACKED: u16 = 1 << 12;
/// [`RecordHead::flags`]: not all that was queued was sent (`snd_nxt != write_seq`).
pub const FLAG_UNSENT: u16 = 1 << 13;
/// [`RecordHead::flags`]: there is room for another timewait socket (`tcp_max_tw_buckets`).
pub const FLAG_TW_ROOM: u16 = 1 << 14;
/// [`RecordHead::flags`]: the socket has no local port.
pub const FLAG_NO_PORT: u16 = 1 << 15;

/// Those from [`FLAG_SOFT_ERROR`] on.
pub const CLOSING_FLAGS: u16 = !(FLAG_SOFT_ERROR - 1);

/// A state change; an address is one 32-bit word for IPv4 and four for IPv6, as
/// [`RecordHead::family`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StateChange<const WORDS: usize> {
    /// Time, socket, namespace, ports.
    pub head: RecordHead,
    /// State that is left, in the kernel's numbers (`include/net/tcp_states.h`).
    pub old: u8,
    /// State that is entered.
    pub new: u8,
    /// `sk_err`: a positive errno, 0 when there is none; see [`FLAG_SOFT_ERROR`].
    pub error: u16,
    /// Process (thread group) id in the initial pid namespace, with [`FLAG_TASK`]. From SYN_SENT to
    /// ESTABLISHED, how long the answer to the SYN took, in microseconds: 0 if that is not known, as when
    /// the SYN was sent again. Otherwise 0.
    pub pid: u32,
    /// Name of the task, padded with zeros; all zeros without [`FLAG_TASK`]. 16 bytes of text, in words
    /// so that the kernel side moves them in two steps.
    pub comm: [u64; 2],
    /// Address on this host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

/// An IPv4 state change.
pub type StateChangeV4 = StateChange<1>;
/// An IPv6 state change.
pub type StateChangeV6 = StateChange<4>;

const _: () = {
    assert!(size_of::<StateChangeV4>() == 64, "IPv4 record");
    assert!(size_of::<StateChangeV6>() == 88, "IPv6 record");
    assert!(align_of::<StateChangeV6>() == 8, "ring records are 8-byte aligned");
    assert!(core::mem::offset_of!(StateChangeV4, remote) + 4 == 64, "no tail padding");
    assert!(core::mem::offset_of!(StateChangeV6, remote) + 16 == 88, "no tail padding");
};
