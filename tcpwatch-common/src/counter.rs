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

macro_rules! table {
    ($($(#[$what:meta])* $hook:ident = $number:literal $(: $program:ident on $tracepoint:ident
        reports $reports:literal, $need:expr, counts $counts:literal)?;)*) => {
        /// The hooks that count.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Hook {
            $($(#[$what])* $hook = $number,)*
        }

        impl Hook {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$hook),*];
        }
    };
}
crate::hooks!(table);

#[expect(clippy::as_conversions, reason = "u32 to usize, and From is not const")]
const PER_HOOK: usize = Counter::PER_HOOK as usize;

/// Number of slots in the map.
pub const SLOTS: usize = Hook::ALL.len() * PER_HOOK;

#[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
const _: () = {
    assert!(Counter::Recovered.slot(Hook::SetState) + 1 == Counter::PER_HOOK, "all of a hook's");
    let [.., last] = Hook::ALL else { panic!("there are hooks") };
    assert!(*last as usize + 1 == Hook::ALL.len(), "numbers follow each other");
};
