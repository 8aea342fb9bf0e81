//! The books: what is counted by cgroup, how many sockets have entered each state and left it, and what has become of
//! connections.
//!
//! Producers: `tcpwatch-ebpf/src/count/books.rs`, which leaves a mark at each socket that it has counted, and counts an
//! end only where there is a mark. Consumer: `tcpwatch/kernel/src/probe/books/`. There is a [`CgroupCell`] on every CPU for each
//! cgroup and each kind of program that can interrupt another one; their sum is what counts.

use crate::counts::{BLOCK_WORDS, BLOCKS, Block, WORDS};

/// Places for states. Numbers are the kernel's, and the two below. Place 0 is no state and counts nothing.
pub const PLACES: usize = 16;

/// A half-open connection: `TCP_NEW_SYN_RECV` in `include/net/tcp_states.h`.
pub const HALF_OPEN: u8 = 12;
/// A timewait socket that has begun in FIN_WAIT_2 and may be in TIME_WAIT by now: no hook runs between the two if its
/// timer stays in its bucket (`tcp_timewait_state_process` in `net/ipv4/tcp_minisocks.c`). The kernel has no such number.
pub const ORPHAN_FIN_WAIT_2: u8 = 14;

/// First word: sockets that have left a state.
pub const LEFT: usize = 0;
/// First word: sockets that have entered a state.
pub const ENTERED: usize = LEFT + PLACES;
/// First word: sockets that a walk has found in a state, and that were not counted.
pub const FOUND: usize = ENTERED + PLACES;
/// First word: those words of [`crate::counts`] that are counted by cgroup.
pub const COUNTED: usize = FOUND + PLACES;
/// Words of a cell.
pub const CELL_WORDS: usize = COUNTED + WORDS - BLOCK_WORDS;

/// What programs of one kind have counted of a cgroup on a CPU.
pub type CgroupCell = [u64; CELL_WORDS];

/// Cells at most. A cgroup for which there is no room is counted as cgroup 0, as are sockets whose cgroup is not known.
pub const MAX_CELLS: u32 = 16_384;

/// The key of the cell of a cgroup for programs of one kind. That of [`Block::Full`] is made first: a cgroup that has it
/// is counted by itself.
#[must_use]
#[inline]
#[expect(clippy::as_conversions, reason = "small to large, and From is not const")]
pub const fn cell_key(cgroup: u32, writer: Block) -> u64 {
    (cgroup as u64) << 8 | writer as u64
}

/// The cgroup of a cell.
#[must_use]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the upper part of a key"
)]
pub const fn cgroup_of(key: u64) -> u32 {
    (key >> 8) as u32
}

/// The keys of all cells that a cgroup can have.
pub fn cell_keys(cgroup: u32) -> impl Iterator<Item = u64> {
    let first = cell_key(cgroup, Block::Full);
    (first..).take(BLOCKS)
}
/// Marks of timewait sockets at most, unless user space sets another limit.
pub const MAX_MARKS: u32 = 1 << 16;

/// Marks of half-open connections at most.
pub const MAX_REQUEST_MARKS: u32 = 1 << 16;

/// Place of a state among others.
#[must_use]
#[expect(clippy::as_conversions, reason = "small to large, and From is not const")]
pub const fn place(state: u32) -> usize {
    (state & 15) as usize
}

/// The word of a cell for a word of [`crate::counts`] from [`BLOCK_WORDS`] on.
#[must_use]
pub const fn counted(word: usize) -> usize {
    COUNTED + word - BLOCK_WORDS
}

/// The mark of a mini-socket that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct MiniMark {
    /// The cell that it is counted in.
    pub cgroup: u32,
    /// The state that it is counted in, in the lowest byte; above it when that was, see [`MiniMark::age_ns`].
    state_at: u32,
}

/// The units of a mark's age are 2^30 ns, some 1.07 s.
const AGE_SHIFT: u32 = 30;

#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "masked numbers")]
impl MiniMark {
    /// Of a mini-socket that enters a state now.
    #[must_use]
    #[inline(always)]
    pub const fn new(cgroup: u32, state: u32, now_ns: u64) -> Self {
        Self { cgroup, state_at: (((now_ns >> AGE_SHIFT) as u32) << 8) | (state & 0xff) }
    }

    /// From its word.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self { cgroup: word as u32, state_at: (word >> 32) as u32 }
    }

    /// The state that it is counted in.
    #[must_use]
    #[inline(always)]
    pub const fn state(self) -> u32 {
        self.state_at & 0xff
    }

    /// For how long the mini-socket has been in it, in nanoseconds, some 1 s more or less.
    #[must_use]
    pub const fn age_ns(self, now_ns: u64) -> u64 {
        let now = (now_ns >> AGE_SHIFT) as u32;
        let passed = now.wrapping_sub(self.state_at >> 8) & 0x00ff_ffff;
        (passed as u64) << AGE_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_its_state_and_its_age_also_when_the_clock_of_marks_turns_over() {
        let second = 1_000_000_000;
        for now in [5 * second, (0x00ff_ffff << AGE_SHIFT) + second / 2] {
            let mark = MiniMark::new(77, 6, now);
            assert_eq!((mark.cgroup, mark.state()), (77, 6));
            let age = mark.age_ns(now + 60 * second);
            assert!(age.abs_diff(60 * second) < 2 * second, "{age}");
        }
    }

    #[test]
    fn a_mark_is_one_word() {
        let mark = MiniMark::new(3, 14, 1 << 40);
        let word = u64::from(mark.cgroup) | u64::from(mark.state_at) << 32;
        assert_eq!(MiniMark::from_word(word), mark);
    }
}
