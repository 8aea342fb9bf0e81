//! Every map and every frozen global of the kernel side. User space sets the globals before the
//! programs are loaded; afterwards the kernel freezes them and the verifier knows their values.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, SkStorage},
    macros::btf_map,
};
use tcpwatch_common::{
    Ending, OwnerTask, RecordHead, Rule, RuleCount,
    awaiting::{Awaiting, LastReset},
    config::{
        KeptBack, MAX_MPTCP, MAX_PREFIXES, MAX_REFUSED_CGROUPS, MAX_UNDECIDED, PORT_WORDS,
        RING_BYTES,
    },
    counter,
    counts::{self, Pending},
    mini_closing::MAX_ENDINGS,
    mini_socket::TRACE,
    owner::Holder,
    rule::{MAX_LINKS, MAX_RULES, RuleKey},
    trial,
};

use crate::{count::books::FullMark, kernel::Due};

/// Records on their way to user space.
#[btf_map]
pub(crate) static EVENTS: RingBuf<RecordHead, { RING_BYTES as usize }> = RingBuf::new();

/// [`counter::Counter`]s, per CPU.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { counter::SLOTS }> = PerCpuArray::new();

/// The remote port of the connection that is being accepted on this CPU, with [`ACCEPTS`] set.
#[btf_map]
pub(crate) static ACCEPTING: PerCpuArray<u32, 1> = PerCpuArray::new();
/// Marks a port in [`ACCEPTING`].
pub(crate) const ACCEPTS: u32 = 1 << 31;
/// Marks a connection in [`ACCEPTING`] that is to be counted.
pub(crate) const COUNTED: u32 = 1 << 30;

/// Blocks of [`counts::BLOCK_WORDS`], per CPU.
#[btf_map]
pub(crate) static COUNTS: PerCpuArray<[u64; counts::BLOCK_WORDS], { counts::BLOCKS }> =
    PerCpuArray::new();

/// The event of a mini-socket's timer that the next one on this CPU explains.
#[btf_map]
pub(crate) static PENDING: PerCpuArray<Pending, 1> = PerCpuArray::new();

/// The socket on this CPU whose end a reset may still decide.
#[btf_map]
pub(crate) static AWAITING: PerCpuArray<Awaiting, 1> = PerCpuArray::new();

/// The last reset that this CPU sent without a full socket of the connection.
#[btf_map]
pub(crate) static LAST_RESET: PerCpuArray<LastReset, 1> = PerCpuArray::new();

/// Kernel functions from which mini-sockets are ended.
#[btf_map]
pub(crate) static ENDINGS: Array<Ending, MAX_ENDINGS> = Array::new();

/// Room for a call stack: a program's own stack is too small.
#[btf_map]
pub(crate) static CALL_TRACE: PerCpuArray<[u64; TRACE], 1> = PerCpuArray::new();
/// Addresses of the functions that the timers of timewait sockets and of request sockets run; 0 until
/// the timers are watched. Not frozen, because a program of this object finds them out.
#[btf_map]
pub(crate) static HANDLERS: Array<[u64; 2], 1> = Array::new();

/// Which process receives and sends on a full socket; freed with the socket.
#[btf_map]
pub(crate) static HOLDERS: SkStorage<Holder> = SkStorage::new();

/// Processes that have opened MPTCP connections, by token; the oldest make room.
#[btf_map]
pub(crate) static MPTCP_OWNERS: LruHashMap<u32, OwnerTask, { MAX_MPTCP as usize }> =
    LruHashMap::new();

/// Address of the function that the retransmission timers of full sockets run; 0 until a socket was seen.
#[btf_map]
pub(crate) static WRITE_TIMER: Array<u64, 1> = Array::new();

/// The segment that a retransmission timer which has run out will send again, per CPU.
#[btf_map]
pub(crate) static SENT_BEFORE: PerCpuArray<SentBefore, 1> = PerCpuArray::new();

/// See [`SENT_BEFORE`].
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct SentBefore {
    pub(crate) due: Due,
    /// When the timer has run out.
    pub(crate) at_ns: u64,
}

/// What is counted about a full socket; freed with the socket.
#[btf_map]
pub(crate) static CLOCKS: SkStorage<SocketNotes> = SkStorage::new();

/// See [`CLOCKS`].
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct SocketNotes {
    /// Since when it is in its state.
    pub(crate) clock: StateSince,
    /// The state that it is counted in.
    pub(crate) mark: FullMark,
}

/// The state that a socket's last handled change entered; see [`crate::copies`].
#[btf_map]
pub(crate) static ENTERED: SkStorage<u32> = SkStorage::new();

/// Since when a mini-socket is in its state, by the address of its timer.
#[btf_map]
pub(crate) static MINIS: HashMap<u64, StateSince, { counts::MAX_MINIS as usize }> = HashMap::new();

/// Full sockets that are about to be replaced by a mini-socket, by their hash.
#[btf_map]
pub(crate) static BURIALS: Array<Burial, { counts::BURIALS }> = Array::new();

/// A state and the moment it was entered.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct StateSince {
    /// 0 if it is not known.
    pub(crate) since_ns: u64,
    /// Kernel state number; 0 in a value that is new. [`BY_WALK`] on top if it was not seen when it was entered.
    pub(crate) state: u64,
}

/// See [`StateSince::state`].
const BY_WALK: u64 = 1 << 8;

impl StateSince {
    /// Of a socket that was found in its state, which it entered then at the latest.
    #[inline(always)]
    pub(crate) fn at_the_latest(since_ns: u64, state: u8) -> Self {
        Self { since_ns, state: u64::from(state) | BY_WALK }
    }
}

/// A mini-socket's timer has started; the last change of its full socket follows.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Burial {
    /// Identifies the full socket; 0 for none.
    pub(crate) key: u64,
    /// Address of the timer.
    pub(crate) timer: u64,
    /// Kernel state number that the mini-socket stands for; [`OVER`] on top if it has ended before the note was taken.
    pub(crate) state: u64,
}

/// See [`Burial::state`].
pub(crate) const OVER: u64 = 1 << 8;

/// The network namespace of the trial and what was seen of it, see [`tcpwatch_common::trial`].
#[btf_map]
pub(crate) static TRIAL: Array<u32, { trial::WORDS }> = Array::new();

/// 1 while the reader sleeps and has to be woken by the next record.
#[btf_map]
pub(crate) static READER_SLEEPS: Array<u32, 1> = Array::new();

/// Memory of a map is taken when something is put into it: without the laboratory, nothing is.
const GROWS: usize = BPF_F_NO_PREALLOC as usize;

/// The laboratory's links: from the index of an interface to the inode of its network namespace.
#[btf_map]
pub(crate) static LINKS: HashMap<u32, u32, { MAX_LINKS as usize }, GROWS> = HashMap::new();

/// Rules on them.
#[btf_map]
pub(crate) static RULES: HashMap<RuleKey, Rule, { MAX_RULES as usize }, GROWS> = HashMap::new();

/// What the rules have done; a rule that is gone has left its count here.
#[btf_map]
pub(crate) static RULE_COUNTS: HashMap<RuleKey, RuleCount, { MAX_RULES as usize }, GROWS> =
    HashMap::new();

/// [`tcpwatch_common::config::PortSet`]s as bitmaps.
#[btf_map]
pub(crate) static PORTS: Array<u64, { 3 * PORT_WORDS as usize }> = Array::new();

/// IPv4 prefixes; the value means nothing.
#[btf_map]
pub(crate) static PREFIXES_V4: LpmTrie<[u32; 1], u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

/// IPv6 prefixes; the value means nothing.
#[btf_map]
pub(crate) static PREFIXES_V6: LpmTrie<[u32; 4], u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

/// Cgroups whose sockets the filter does not want, by [`RecordHead::cgroup`]; the value means nothing.
#[btf_map]
pub(crate) static REFUSED_CGROUPS: LruHashMap<u32, u32, { MAX_REFUSED_CGROUPS as usize }> =
    LruHashMap::new();

/// 1 for a full socket that the filter on the direction does not want; freed with the socket.
#[btf_map]
pub(crate) static REFUSED: SkStorage<u32> = SkStorage::new();

/// Changes that wait for a port to become known, by cookie.
#[btf_map]
pub(crate) static UNDECIDED: HashMap<u64, KeptBack, { MAX_UNDECIDED as usize }> = HashMap::new();

macro_rules! globals {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr;)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub(crate) static $name: Global<$type> = Global::new($default);
    )*};
}

globals! {
    /// `FILTER_*` switches of [`tcpwatch_common::config`].
    FILTERS: u32 = 0;
    /// Inode of the only wanted network namespace.
    FILTER_NETNS_INODE: u32 = 0;

    /// 1 if everything is counted.
    COUNT: u32 = 0;
    /// Inode of the only network namespace that is counted; 0 for all.
    COUNT_NETNS: u32 = 0;
    /// 1 if records go into the ring.
    STREAM: u32 = 1;
    /// 1 if a task can be preempted inside a program on a tracepoint.
    PREEMPTIBLE: u32 = 0;
    /// Nanoseconds of a jiffy.
    TICK_NS: u64 = 4_000_000;

    /// 1 if a socket's last change is to bring its totals.
    WITH_TOTALS: u32 = 0;
    /// 1 if it can be read when a segment was sent before it is sent again.
    WITH_SENT_BEFORE: u32 = 0;
    /// 1 if `tcp_retransmit_skb` reports whether the segment was sent (since 6.17).
    RETRANSMIT_HAS_ERROR: u32 = 0;
    /// 1 if `tcp_send_reset` reports why (since 6.10).
    RESET_HAS_REASON: u32 = 0;

    /// Inode of the pid namespace whose numbers are wanted.
    PID_NAMESPACE: u32 = tcpwatch_common::config::FIRST_PID_NAMESPACE;
    /// 1 if this kernel has MPTCP, and its memory may be read.
    HAS_MPTCP: u32 = 0;
    /// 1 if sockets point to their cgroups on this kernel.
    HAS_CGROUP: u32 = 0;

    // Offsets in bytes, see `tcpwatch_common::config`.
    TASK_FLAGS: u32 = 0;
    TASK_TGID: u32 = 0;
    TASK_EXECS: u32 = 0;
    TASK_LEADER: u32 = 0;
    TASK_COMM: u32 = 0;
    TASK_PID: u32 = 0;
    PID_LEVEL: u32 = 0;
    PID_NUMBERS: u32 = 0;
    UPID_NS: u32 = 0;
    PIDNS_INUM: u32 = 0;
    SK_OWNED: u32 = 0;
    TCP_SOCKET: u32 = 0;
    SOCKET_SK: u32 = 0;
    SOCKET_FILE: u32 = 0;
    TCP_IS_MPTCP: u32 = 0;
    ICSK_ULP_DATA: u32 = 0;
    SUBFLOW_TOKEN: u32 = 0;
    TCP_CGROUP: u32 = 0;
    CGROUP_KN: u32 = 0;
    KN_ID: u32 = 0;
    SKC_FAMILY: u32 = 0;
    SKC_DADDR: u32 = 0;
    SKC_RCV_SADDR: u32 = 0;
    SKC_DPORT: u32 = 0;
    SKC_NUM: u32 = 0;
    SKC_V6_DADDR: u32 = 0;
    SKC_V6_RCV_SADDR: u32 = 0;
    SKC_NET: u32 = 0;
    SKC_FLAGS: u32 = 0;
    SK_PROTOCOL: u32 = 0;
    SK_ERR: u32 = 0;
    INET_SPORT: u32 = 0;
    TCP_LINGER2: u32 = 0;
    TCP_BYTES_RECEIVED: u32 = 0;
    NS_INUM: u32 = 0;
    TCP_SEGS_OUT: u32 = 0;
    TCP_RCV_TSTAMP: u32 = 0;
    TCP_FASTOPEN_REQ: u32 = 0;
    SKC_COOKIE: u32 = 0;
    TIMER_FUNCTION: u32 = 0;
    TIMER_EXPIRES: u32 = 0;
    TW_TIMER: u32 = 0;
    TW_SUBSTATE: u32 = 0;
    RSK_TIMER: u32 = 0;
    RSK_NUM_RETRANS: u32 = 0;
    SKC_LISTENER: u32 = 0;
    NS_COUNT: u32 = 0;
    SKC_STATE: u32 = 0;
    ICSK_RTO: u32 = 0;
    ICSK_RETRANSMITS: u32 = 0;
    ICSK_USER_TIMEOUT: u32 = 0;
    TCP_TOTAL_RETRANS: u32 = 0;
    ICSK_SYN_RETRIES: u32 = 0;
    RSK_NUM_TIMEOUT: u32 = 0;
    TIMER_PPREV: u32 = 0;
    SKB_CB: u32 = 0;
    SKB_LEN: u32 = 0;
    SKB_RBNODE: u32 = 0;
    SKB_MSTAMP: u32 = 0;
    TCB_SEQ: u32 = 0;
    RETRANSMIT_TIMER: u32 = 0;
    RETRANSMIT_DUE: u32 = 0;
    ICSK_PENDING: u32 = 0;
    RTX_QUEUE: u32 = 0;
    RB_LEFT: u32 = 0;
    RB_RIGHT: u32 = 0;
    TCB_FLAGS: u32 = 0;
    SKB_HEAD: u32 = 0;
    SKB_NETWORK_HEADER: u32 = 0;
    SKB_TRANSPORT_HEADER: u32 = 0;
    SKB_DEV: u32 = 0;
    NETDEV_NET: u32 = 0;
    SK_ERR_SOFT: u32 = 0;
    SK_SOCKET: u32 = 0;
    SOCKET_STATE: u32 = 0;
    SK_ERRORS: u32 = 0;
    SK_LAST_ERROR: u32 = 0;
    EE_ERRNO: u32 = 0;
    TCP_SND_UNA: u32 = 0;
    TCP_SND_NXT: u32 = 0;
    TCP_WRITE_SEQ: u32 = 0;
    TCP_TXHASH: u32 = 0;
    TW_REFCOUNT: u32 = 0;
    TW_MOST: u32 = 0;
    SK_ACK_BACKLOG: u32 = 0;
    SK_MAX_ACK_BACKLOG: u32 = 0;
    SK_DROPS: u32 = 0;
    SYN_QUEUE_LENGTH: u32 = 0;
    DEFER_ACCEPT: u32 = 0;
    /// The byte that holds the bit `acked` of a half-open connection.
    REQUEST_ACKED: u32 = 0;
    /// That bit in its byte; 0 if it was not found.
    REQUEST_ACKED_MASK: u32 = 0;
    /// The byte that holds the bit `repair` of a socket.
    TCP_REPAIR: u32 = 0;
    /// That bit in its byte; 0 if it was not found.
    TCP_REPAIR_MASK: u32 = 0;
    TCP_BYTES_SENT: u32 = 0;
    TCP_BYTES_RETRANS: u32 = 0;
    TCP_BYTES_ACKED: u32 = 0;
    TCP_SRTT_US: u32 = 0;
    TCP_RTT_MIN: u32 = 0;
    MINMAX_SAMPLE_V: u32 = 0;
    SKC_HASH: u32 = 0;
    SNT_SYNACK: u32 = 0;
}
