//! Rules that drop segments on a link of the laboratory, as the maps `RULES` and `RULE_COUNTS` hold
//! them.
//!
//! Producer: `tcpwatch/kernel/src/probe/tap.rs`. Consumer: `tcpwatch-ebpf/src/lab_tap.rs`.

/// Rules of one link.
pub const RULES_PER_LINK: u32 = 8;
/// Links at a time, two for each run.
pub const MAX_LINKS: u32 = 512;
/// Rules of all links.
pub const MAX_RULES: u32 = RULES_PER_LINK * MAX_LINKS;

/// [`Rule::way`]: segments that come in.
pub const WAY_IN: u8 = 0;
/// [`Rule::way`]: segments that go out.
pub const WAY_OUT: u8 = 1;

/// Which rule: the index of the link's interface and the slot, below [`RULES_PER_LINK`].
pub type RuleKey = [u32; 2];

/// Which segments are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// Until then, `CLOCK_MONOTONIC` in nanoseconds.
    pub until_ns: u64,
    /// Port of the host on whose link it is; 0 for any.
    pub local_port: u16,
    /// Port of the peer; 0 for any.
    pub remote_port: u16,
    /// [`WAY_IN`] or [`WAY_OUT`].
    pub way: u8,
    /// Of the byte of TCP flags, the bits that are looked at.
    pub mask: u8,
    /// And how they must be.
    pub value: u8,
    /// Always 0.
    pub reserved: u8,
}

/// The kernel's lock for a map's value, which it finds by this name in the value's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct bpf_spin_lock {
    /// The kernel's own.
    pub val: u32,
}

/// What a rule has done and may still do. It outlives the rule. Both sides touch it under its lock
/// only, because Rust has no atomic addition for BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RuleCount {
    /// Never copied: user space writes and reads zeros here.
    pub lock: bpf_spin_lock,
    /// Always 0.
    pub reserved: u32,
    /// Segments that it may still drop.
    pub remaining: u64,
    /// Segments that it has dropped.
    pub dropped: u64,
}

/// A [`Rule`] as user space writes it.
pub type RuleWords = [u64; 2];
/// A [`RuleCount`] as user space writes and reads it.
pub type CountWords = [u64; 3];

impl Rule {
    /// Its memory.
    #[must_use]
    pub const fn to_words(self) -> RuleWords {
        let Self { until_ns, local_port, remote_port, way, mask, value, reserved } = self;
        let [a, b] = local_port.to_ne_bytes();
        let [c, d] = remote_port.to_ne_bytes();
        [until_ns, u64::from_ne_bytes([a, b, c, d, way, mask, value, reserved])]
    }
}

impl RuleCount {
    /// Its memory.
    #[must_use]
    pub const fn to_words(self) -> CountWords {
        [0, self.remaining, self.dropped]
    }

    /// The other way.
    #[must_use]
    pub const fn from_words([_, remaining, dropped]: CountWords) -> Self {
        Self { lock: bpf_spin_lock { val: 0 }, reserved: 0, remaining, dropped }
    }
}

const _: () = {
    assert!(size_of::<Rule>() == size_of::<RuleWords>(), "the same memory");
    assert!(core::mem::offset_of!(Rule, local_port) == 8, "as to_words writes it");
    assert!(core::mem::offset_of!(Rule, remote_port) == 10, "as to_words writes it");
    assert!(core::mem::offset_of!(Rule, way) == 12, "as to_words writes it");
    assert!(core::mem::offset_of!(Rule, mask) == 13, "as to_words writes it");
    assert!(core::mem::offset_of!(Rule, value) == 14, "as to_words writes it");
    assert!(size_of::<RuleCount>() == size_of::<CountWords>(), "the same memory");
    assert!(core::mem::offset_of!(RuleCount, remaining) == 8, "as to_words writes it");
    assert!(core::mem::offset_of!(RuleCount, dropped) == 16, "as to_words writes it");
};
