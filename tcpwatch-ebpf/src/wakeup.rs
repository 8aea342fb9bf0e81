//! Wakes the reader of the ring at most once per sleep. Waking is 90% of what a record would cost
//! otherwise.
//!
//! The reader sets `READER_SLEEPS` and looks at the ring once more before it sleeps. We submit a
//! record and look at `READER_SLEEPS` afterwards. Each side writes, then reads, with a full barrier
//! in between (the kernel commits a record with `xchg`), so at least one of them sees the other.

use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;

use crate::maps::{EVENTS, READER_SLEEPS};

/// Was a wakeup requested? Takes the request, so that no other CPU serves it.
#[inline(always)]
pub(crate) fn take_request() -> bool {
    let Some(sleeps) = READER_SLEEPS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the lookup returned a live slot; the value is a single word, and a race at worst
    // wakes the reader twice.
    if unsafe { sleeps.read_volatile() } == 0 {
        return false;
    }
    // SAFETY: as above.
    unsafe { sleeps.write_volatile(0) };
    true
}

/// Serves a request that came between the last look and the record: an empty record that is
/// discarded with a wakeup.
#[inline(always)]
pub(crate) fn wake_if_requested() {
    if take_request()
        && let Some(entry) = EVENTS.reserve_untyped::<u64>(0)
    {
        entry.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}
