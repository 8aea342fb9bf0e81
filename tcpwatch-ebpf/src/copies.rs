//! Copies of the program on `inet_sock_set_state`, for kernels whose tracepoints are preemptible.
//!
//! A program that is under way on a CPU is skipped there (`bpf_prog_get_recursion_context` in
//! `include/linux/bpf.h`). Since 7.0 tracepoints are guarded by SRCU in place of disabled preemption
//! (`include/linux/tracepoint.h`), and since 7.1 a task that has used up its slice is preempted at once
//! also inside the kernel. One that is preempted inside a program keeps it, and whatever the other tasks
//! of that CPU do until its next turn is skipped. `bpf_preempt_disable` does not help: the task is then
//! preempted where preemption is enabled again, still inside the program.
//!
//! A copy has a recursion guard of its own. It handles what those before it were kept from, which shows
//! in the socket: its storage holds the state that the last handled change entered. As a rule a copy looks there
//! and is done; it costs as much as the program only where it is loaded.
//!
//! Loaded once, and called by a tail call of each copy, the program would not be guarded: since 6.13 the stack of
//! a program may be one for each CPU (`bpf_enable_priv_stack` in `kernel/bpf/verifier.c`), which two runs on
//! one CPU then share. On 7.3 that made changes of the one's old state and the other's new one.

use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use tcpwatch_common::{Counter, counter::Hook, counts::Block};

use crate::{emit, kernel::Sock, maps};

/// Which copy of the program it is.
#[derive(Clone, Copy)]
pub(crate) struct Copy {
    /// What it counts its records under.
    pub(crate) hook: Hook,
    /// What it counts changes under.
    pub(crate) block: Block,
    is_first: bool,
}

/// The program itself.
pub(crate) const FIRST: Copy = Copy { hook: Hook::SetState, block: Block::Full, is_first: true };
/// Its first copy.
pub(crate) const SECOND: Copy =
    Copy { hook: Hook::SetStateSecond, block: Block::FullSecond, is_first: false };
/// Its second copy.
pub(crate) const THIRD: Copy =
    Copy { hook: Hook::SetStateThird, block: Block::FullThird, is_first: false };
/// Its third copy.
pub(crate) const FOURTH: Copy =
    Copy { hook: Hook::SetStateFourth, block: Block::FullFourth, is_first: false };
/// Its fourth copy.
pub(crate) const FIFTH: Copy =
    Copy { hook: Hook::SetStateFifth, block: Block::FullFifth, is_first: false };

impl Copy {
    /// Is it to handle this change? Notes that it does.
    #[inline(always)]
    pub(crate) fn takes(self, sock: Sock, new: u8) -> bool {
        if maps::PREEMPTIBLE.load() == 0 {
            return self.is_first;
        }
        let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
        let Some(entered) = sock.storage(&maps::ENTERED, create) else {
            // No memory: a copy does not know, and a change that is shown twice is worse than a loss.
            return self.is_first;
        };
        // SAFETY: the helper returned a live value, and changes of a socket are made one after the other.
        let before = unsafe { *entered };
        if !self.is_first {
            if before == u32::from(new) {
                return false;
            }
            emit::count(Counter::Recovered, self.hook);
        }
        // SAFETY: as above.
        unsafe { *entered = new.into() };
        true
    }
}
