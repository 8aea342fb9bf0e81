//! Slots of the per-CPU counters through which the kernel side accounts for every record.
//!
//! Producer: `tcpwatch-ebpf/src/emit.rs`. Consumer: `tcpwatch/kernel/src/probe/losses.rs`.
//! For each hook: `attempted = records in the ring + every loss`.

/// One counter. A hook has its own block of slots, because a hook can interrupt another one on the
/// same CPU, but never itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Records the hook wanted to emit.
    Attempted = 0,
    /// The ring had no room.
    RingFull = 1,
    /// A kernel field could not be read.
    Unreadable = 2,
    /// A change that waits for a port to become known found no place to wait.
    UndecidedFull = 3,
    /// A copy of a program handled what the program was kept from.
    Recovered = 4,
}

impl Counter {
    /// Slots of one hook.
    pub const PER_HOOK: u32 = 5;

    /// Slot in the map for the hook with this number.
    #[must_use]
    pub const fn slot(self, hook: Hook) -> u32 {
        #[expect(clippy::as_conversions, reason = "fieldless enums with explicit numbers")]
        {
            hook as u32 * Self::PER_HOOK + self as u32
        }
    }
}

/// The hooks that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// `inet_sock_set_state`.
    SetState = 0,
    /// `timer_start`.
    TimerStart = 1,
    /// `timer_cancel`.
    TimerCancel = 2,
    /// `timer_expire_entry`.
    TimerExpire = 3,
    /// `tcp_retransmit_skb`.
    Retransmit = 4,
    /// `tcp_retransmit_synack`.
    RetransmitSynAck = 5,
    /// `tcp_send_reset`.
    SendReset = 6,
    /// `tcp_receive_reset`.
    ReceiveReset = 7,
    /// `inet_sk_error_report`.
    ErrorReport = 8,
    /// Segments that come in on a link of the laboratory.
    TapIn = 9,
    /// Segments that go out there.
    TapOut = 10,
    /// The first copy of `inet_sock_set_state`.
    SetStateSecond = 11,
    /// The second copy.
    SetStateThird = 12,
    /// The third copy.
    SetStateFourth = 13,
    /// The fourth copy.
    SetStateFifth = 14,
}

impl Hook {
    /// The one with the highest number.
    pub const LAST: Self = Self::SetStateFifth;
}

/// Number of slots in the map.
#[expect(clippy::as_conversions, reason = "small to large, and From is not const")]
pub const SLOTS: usize = Counter::Recovered.slot(Hook::LAST) as usize + 1;

const _: () = {
    assert!(Counter::Recovered.slot(Hook::SetState) + 1 == Counter::PER_HOOK, "all of a hook's");
};
