//! What user space hands to the kernel side at load time: names of frozen globals, filter switches,
//! map sizes.
//!
//! Producer: `tcpwatch/kernel/src/probe/`. Consumer: `tcpwatch-ebpf/src/maps.rs`.

/// A field of a kernel structure whose offset the kernel side needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelField {
    /// Name of the frozen global (`u32`, bytes) that carries the offset.
    pub global: &'static str,
    /// Structure the offset is counted from.
    pub container: &'static str,
    /// Members from the container to the field, separated by dots; `|` separates the names that
    /// different kernel versions have for it.
    pub path: &'static str,
}

const fn field(global: &'static str, container: &'static str, path: &'static str) -> KernelField {
    KernelField { global, container, path }
}

/// Fields without which nothing works. `struct sock`, `inet_timewait_sock` and `request_sock` all
/// begin with a `struct sock_common`, see [`COMMON_FIRST`].
pub const SOCKET_FIELDS: [KernelField; 20] = [
    field("SKC_FAMILY", "sock_common", "skc_family"),
    field("SKC_DADDR", "sock_common", "skc_daddr"),
    field("SKC_RCV_SADDR", "sock_common", "skc_rcv_saddr"),
    field("SKC_DPORT", "sock_common", "skc_dport"),
    field("SKC_NUM", "sock_common", "skc_num"),
    field("SKC_V6_DADDR", "sock_common", "skc_v6_daddr"),
    field("SKC_V6_RCV_SADDR", "sock_common", "skc_v6_rcv_saddr"),
    field("SKC_NET", "sock_common", "skc_net.net"),
    field("SKC_FLAGS", "sock_common", "skc_flags"),
    field("SKC_COOKIE", "sock_common", "skc_cookie"),
    field("SKC_STATE", "sock_common", "skc_state"),
    field("SK_PROTOCOL", "sock", "sk_protocol"),
    field("SK_ERR", "sock", "sk_err"),
    field("INET_SPORT", "tcp_sock", "inet_conn.icsk_inet.inet_sport"),
    field("TCP_LINGER2", "tcp_sock", "linger2"),
    field("TCP_BYTES_RECEIVED", "tcp_sock", "bytes_received"),
    field("TCP_BYTES_ACKED", "tcp_sock", "bytes_acked"),
    field("NS_INUM", "net", "ns.inum"),
    field("TCP_SEGS_OUT", "tcp_sock", "segs_out"),
    field("TCP_FASTOPEN_REQ", "tcp_sock", "fastopen_req"),
];

/// Fields that the owners of sockets need.
pub const OWNER_FIELDS: [KernelField; 13] = [
    field("TASK_FLAGS", "task_struct", "flags"),
    field("TASK_TGID", "task_struct", "tgid"),
    field("TASK_EXECS", "task_struct", "self_exec_id"),
    field("TASK_LEADER", "task_struct", "group_leader"),
    field("TASK_COMM", "task_struct", "comm"),
    field("TASK_PID", "task_struct", "thread_pid"),
    field("PID_LEVEL", "pid", "level"),
    field("PID_NUMBERS", "pid", "numbers"),
    field("UPID_NS", "upid", "ns"),
    field("PIDNS_INUM", "pid_namespace", "ns.inum"),
    field("SK_OWNED", "sock", "sk_lock.owned"),
    field("TCP_SOCKET", "tcp_sock", "inet_conn.icsk_inet.sk.sk_socket"),
    field("SOCKET_FILE", "socket", "file"),
];

/// Fields that lead from a socket to its cgroup. Up to 5.14 there is no such pointer; without
/// `CONFIG_SOCK_CGROUP_DATA` there is none either.
pub const CGROUP_FIELDS: [KernelField; 3] = [
    field("TCP_CGROUP", "tcp_sock", "inet_conn.icsk_inet.sk.sk_cgrp_data.cgroup"),
    field("CGROUP_KN", "cgroup", "kn"),
    field("KN_ID", "kernfs_node", "id"),
];

/// Fields that say to which MPTCP connection a subflow belongs; not every kernel has MPTCP.
pub const MPTCP_FIELDS: [KernelField; 3] = [
    field("TCP_IS_MPTCP", "tcp_sock", "is_mptcp"),
    field("ICSK_ULP_DATA", "tcp_sock", "inet_conn.icsk_ulp_data"),
    field("SUBFLOW_TOKEN", "mptcp_subflow_context", "token"),
];

/// MPTCP connections whose owners are kept.
pub const MAX_MPTCP: u32 = 4096;

/// Inode of the initial pid namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
pub const FIRST_PID_NAMESPACE: u32 = 0xEFFF_FFFC;

/// Fields that say why a socket enters CLOSED.
pub const CLOSING_FIELDS: [KernelField; 13] = [
    field("SK_ERR_SOFT", "sock", "sk_err_soft"),
    field("SK_SOCKET", "tcp_sock", "inet_conn.icsk_inet.sk.sk_socket"),
    field("SOCKET_STATE", "socket", "state"),
    field("SK_ERRORS", "tcp_sock", "inet_conn.icsk_inet.sk.sk_error_queue.qlen"),
    field("SK_LAST_ERROR", "tcp_sock", "inet_conn.icsk_inet.sk.sk_error_queue.prev"),
    field("SKB_CB", "sk_buff", "cb"),
    field("EE_ERRNO", "sock_exterr_skb", "ee.ee_errno"),
    field("ICSK_RETRANSMITS", "tcp_sock", "inet_conn.icsk_retransmits"),
    field("TCP_TOTAL_RETRANS", "tcp_sock", "total_retrans"),
    field("TCP_SND_UNA", "tcp_sock", "snd_una"),
    field("TCP_SND_NXT", "tcp_sock", "snd_nxt"),
    field("TCP_WRITE_SEQ", "tcp_sock", "write_seq"),
    field("TCP_TXHASH", "tcp_sock", "inet_conn.icsk_inet.sk.sk_txhash"),
];

/// Fields that say whether there is room for a timewait socket (since 6.1).
pub const TW_ROOM_FIELDS: [KernelField; 2] = [
    field("TW_REFCOUNT", "net", "ipv4.tcp_death_row.tw_refcount"),
    field("TW_MOST", "net", "ipv4.tcp_death_row.sysctl_max_tw_buckets"),
];

/// Fields of a listener's queues, and of the listener itself, which is read by its address.
pub const QUEUE_FIELDS: [KernelField; 5] = [
    field("SK_ACK_BACKLOG", "sock", "sk_ack_backlog"),
    field("SK_MAX_ACK_BACKLOG", "sock", "sk_max_ack_backlog"),
    field("SK_DROPS", "sock", "sk_drops.counter"),
    field("SYN_QUEUE_LENGTH", "inet_connection_sock", "icsk_accept_queue.qlen.counter"),
    field("DEFER_ACCEPT", "inet_connection_sock", "icsk_accept_queue.rskq_defer_accept"),
];

/// The bit of a half-open connection that says that its last segment has come and was dropped.
pub const ACKED_BIT: (&str, &str) = ("inet_request_sock", "acked");

/// The bit that says that a socket is under repair: `bool`-like, and a bit-field.
pub const REPAIR_BIT: (&str, &str) = ("tcp_sock", "repair");

/// Fields that the life of mini-sockets needs.
pub const MINI_FIELDS: [KernelField; 8] = [
    field("TIMER_FUNCTION", "timer_list", "function"),
    field("TIMER_EXPIRES", "timer_list", "expires"),
    field("TW_TIMER", "inet_timewait_sock", "tw_timer"),
    field("TW_SUBSTATE", "inet_timewait_sock", "tw_substate"),
    field("RSK_TIMER", "request_sock", "rsk_timer"),
    field("RSK_NUM_RETRANS", "request_sock", "num_retrans"),
    field("SKC_LISTENER", "sock_common", "skc_listener"),
    // `count` before 5.11, `__ns_ref` since 6.18.
    field("NS_COUNT", "net", "ns.count|ns.__ns_ref|count"),
];

/// Fields that retransmissions need.
pub const RETRANSMIT_FIELDS: [KernelField; 11] = [
    field("ICSK_RTO", "tcp_sock", "inet_conn.icsk_rto"),
    field("ICSK_RETRANSMITS", "tcp_sock", "inet_conn.icsk_retransmits"),
    field("ICSK_USER_TIMEOUT", "tcp_sock", "inet_conn.icsk_user_timeout"),
    field("ICSK_SYN_RETRIES", "tcp_sock", "inet_conn.icsk_syn_retries"),
    field("TCP_TOTAL_RETRANS", "tcp_sock", "total_retrans"),
    field("SKB_LEN", "sk_buff", "len"),
    field("SKB_CB", "sk_buff", "cb"),
    // One byte up to 6.14, two since; the first holds the flags that are read.
    field("TCB_FLAGS", "tcp_skb_cb", "tcp_flags"),
    // The byte that ends with the seven bits `num_timeout`; its first bit has had two names.
    field("RSK_NUM_TIMEOUT", "request_sock", "syncookie|cookie_ts"),
    field("RSK_TIMER", "request_sock", "rsk_timer"),
    field("TIMER_PPREV", "timer_list", "entry.pprev"),
];

/// Fields that say when a segment was sent before, and when its timer was due. The timer has moved twice
/// (since 6.15 it has no second clock beside it, since 6.19 it is in `struct sock`).
pub const SENT_BEFORE_FIELDS: [KernelField; 9] = [
    field(
        "RETRANSMIT_TIMER",
        "tcp_sock",
        "inet_conn.icsk_retransmit_timer|inet_conn.icsk_inet.sk.tcp_retransmit_timer",
    ),
    field(
        "RETRANSMIT_DUE",
        "tcp_sock",
        "inet_conn.icsk_timeout|inet_conn.icsk_retransmit_timer.expires|\
         inet_conn.icsk_inet.sk.tcp_retransmit_timer.expires",
    ),
    field("ICSK_PENDING", "tcp_sock", "inet_conn.icsk_pending"),
    field("RTX_QUEUE", "tcp_sock", "inet_conn.icsk_inet.sk.tcp_rtx_queue.rb_node"),
    field("RB_LEFT", "rb_node", "rb_left"),
    field("RB_RIGHT", "rb_node", "rb_right"),
    field("SKB_RBNODE", "sk_buff", "rbnode"),
    field("SKB_MSTAMP", "sk_buff", "skb_mstamp_ns"),
    field("TCB_SEQ", "tcp_skb_cb", "seq"),
];

/// Fields that resets need: the segment that was answered.
pub const RESET_FIELDS: [KernelField; 5] = [
    field("SKB_HEAD", "sk_buff", "head"),
    field("SKB_NETWORK_HEADER", "sk_buff", "network_header"),
    field("SKB_TRANSPORT_HEADER", "sk_buff", "transport_header"),
    field("SKB_DEV", "sk_buff", "dev"),
    field("NETDEV_NET", "net_device", "nd_net.net"),
];

/// Fields that a socket's totals need.
pub const TOTALS_FIELDS: [KernelField; 9] = [
    field("TCP_BYTES_SENT", "tcp_sock", "bytes_sent"),
    field("TCP_BYTES_RETRANS", "tcp_sock", "bytes_retrans"),
    field("TCP_SND_UNA", "tcp_sock", "snd_una"),
    field("TCP_SND_NXT", "tcp_sock", "snd_nxt"),
    field("TCP_WRITE_SEQ", "tcp_sock", "write_seq"),
    field("TCP_TOTAL_RETRANS", "tcp_sock", "total_retrans"),
    field("TCP_SRTT_US", "tcp_sock", "srtt_us"),
    // The first sample of the three is the smallest.
    field("TCP_RTT_MIN", "tcp_sock", "rtt_min.s"),
    field("MINMAX_SAMPLE_V", "minmax_sample", "v"),
];

/// Fields that counting needs besides.
pub const COUNT_FIELDS: [KernelField; 5] = [
    field("SKC_HASH", "sock_common", "skc_hash"),
    field("SNT_SYNACK", "tcp_request_sock", "snt_synack"),
    field("TCP_TOTAL_RETRANS", "tcp_sock", "total_retrans"),
    field("TCP_RCV_TSTAMP", "tcp_sock", "rcv_tstamp"),
    field("SOCKET_SK", "socket", "sk"),
];

/// Members that must be the first of their structure.
pub const COMMON_FIRST: [(&str, &str); 5] = [
    ("sock", "__sk_common"),
    ("inet_timewait_sock", "__tw_common"),
    ("tcp_timewait_sock", "tw_sk.__tw_common"),
    ("request_sock", "__req_common"),
    ("tcp_request_sock", "req.req.__req_common"),
];

/// Bytes of a mini-socket that the kernel side copies; every field it reads must lie inside.
pub const MINI_BYTES: usize = 192;

/// Filter switch: the local or the remote port must be in the port set "any".
pub const FILTER_PORT: u32 = 1 << 0;
/// Filter switch: the local port must be in the port set "local".
pub const FILTER_LOCAL_PORT: u32 = 1 << 1;
/// Filter switch: the remote port must be in the port set "remote".
pub const FILTER_REMOTE_PORT: u32 = 1 << 2;
/// Filter switch: an address must match a prefix of its family.
pub const FILTER_ADDRESS: u32 = 1 << 3;
/// Filter switch: only IPv4 on the wire.
pub const FILTER_V4: u32 = 1 << 4;
/// Filter switch: only IPv6 on the wire.
pub const FILTER_V6: u32 = 1 << 5;
/// Filter switch: only the network namespace in the global `FILTER_NETNS`.
pub const FILTER_NETNS: u32 = 1 << 6;
/// Filter switch: a socket must not be in one of the cgroups in the map `REFUSED_CGROUPS`.
pub const FILTER_CGROUP: u32 = 1 << 7;
/// Filter switch: only sockets that did not connect.
pub const FILTER_ACCEPTED: u32 = 1 << 8;
/// Filter switch: only sockets that were not accepted.
pub const FILTER_CONNECTED: u32 = 1 << 9;

/// Cgroups that are refused at most; the ones that were met longest ago make room, and are decided about again by
/// user space.
pub const MAX_REFUSED_CGROUPS: u32 = 16_384;

/// Port sets, bitmaps of 65,536 bits each, in 64-bit words one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PortSet {
    /// For [`FILTER_PORT`].
    Any = 0,
    /// For [`FILTER_LOCAL_PORT`].
    Local = 1,
    /// For [`FILTER_REMOTE_PORT`].
    Remote = 2,
}

/// Words of one port set.
pub const PORT_WORDS: u32 = 1024;

impl PortSet {
    /// Index of the word that holds the bit of `port`.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "u32::from is not const, and the enum is numbered")]
    pub const fn word(self, port: u16) -> u32 {
        self as u32 * PORT_WORDS + port as u32 / 64
    }

    /// The bit of `port` inside its word.
    #[must_use]
    pub const fn bit(port: u16) -> u64 {
        1 << (port % 64)
    }
}

/// Default size of the ring in bytes.
pub const RING_BYTES: u32 = 2 << 20;
/// Largest number of address prefixes per family.
pub const MAX_PREFIXES: u32 = 1024;

/// Changes that wait at most for a port to become known.
pub const MAX_UNDECIDED: u32 = 8192;

/// A change that waits for a port to become known; see [`crate::StateChange`] for the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are those of a state change")]
pub struct KeptBack {
    pub at_ns: u64,
    /// The process that connects; all zeros if it is not known.
    pub task: crate::OwnerTask,
    pub old: u8,
    pub new: u8,
    pub flags: u16,
    pub reserved: u32,
}

const _: () = assert!(size_of::<KeptBack>() == 56, "no padding");
