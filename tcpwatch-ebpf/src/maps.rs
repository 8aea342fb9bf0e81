//! Every map and every frozen global of the kernel side. User space sets the globals before the
//! programs are loaded; afterwards the kernel freezes them and the verifier knows their values.

use aya_ebpf::{
    Global,
    btf_maps::{Array, LpmTrie, PerCpuArray, RingBuf},
    macros::btf_map,
};
use tcpwatch_common::{
    RecordHead,
    config::{MAX_PREFIXES, PORT_WORDS, RING_BYTES},
    counter,
};

/// Records on their way to user space.
#[btf_map]
pub(crate) static EVENTS: RingBuf<RecordHead, { RING_BYTES as usize }> = RingBuf::new();

/// [`counter::Counter`]s, per CPU.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { counter::SLOTS }> = PerCpuArray::new();

/// 1 while the reader sleeps and wants to be woken by the next record.
#[btf_map]
pub(crate) static READER_SLEEPS: Array<u32, 1> = Array::new();

/// [`tcpwatch_common::config::PortSet`]s as bitmaps.
#[btf_map]
pub(crate) static PORTS: Array<u64, { 3 * PORT_WORDS as usize }> = Array::new();

/// IPv4 prefixes; the value means nothing.
#[btf_map]
pub(crate) static PREFIXES_V4: LpmTrie<[u32; 1], u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

/// IPv6 prefixes; the value means nothing.
#[btf_map]
pub(crate) static PREFIXES_V6: LpmTrie<[u32; 4], u32, { MAX_PREFIXES as usize }> = LpmTrie::new();

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
    /// Bit `n` set: changes that leave state number `n` are wanted.
    FILTER_STATES_LEFT: u32 = u32::MAX;
    /// Bit `n` set: changes that enter state number `n` are wanted.
    FILTER_STATES_ENTERED: u32 = u32::MAX;
    /// Inode of the only wanted network namespace.
    FILTER_NETNS_INODE: u32 = 0;

    // Offsets in bytes, see `tcpwatch_common::config::KERNEL_FIELDS`.
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
    NS_INUM: u32 = 0;
}
