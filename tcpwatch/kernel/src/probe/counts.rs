//! Reads what the kernel side counted: the blocks of all CPUs become one sum that never gets smaller.

use std::{fs, time::Duration};

use aya::maps::{MapData, MapError, PerCpuArray};
use tcpwatch_common::{
    Awaiting,
    awaiting::AWAITING_WORDS,
    books::{CELL_WORDS, COUNTED, CgroupCell, MiniMark, counted},
    counts::{BLOCK_WORDS, BLOCKS, MAX_MINIS, PENDING_WORDS, Pending, WORDS},
    mini_clock::DECIDED_WITHIN_NS,
};
use tcpwatch_core::event::Netns;

use super::books::{BookCells, CgroupCells};
use crate::clock;

/// How long an event of a timer waits for the next one, which explains it.
const EXPLAINED_WITHIN: Duration = Duration::from_nanos(DECIDED_WITHIN_NS);

/// Which sockets the kernel side counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// Nobody's.
    #[default]
    Off,
    /// Those of all network namespaces.
    All,
    /// Those of one network namespace.
    Of(Netns),
}

/// What a CPU has not counted yet: the last event of a timer, and the last end of a full socket.
type OpenCounts =
    (PerCpuArray<MapData, [u64; PENDING_WORDS]>, PerCpuArray<MapData, [u64; AWAITING_WORDS]>);

/// The kernel side's counts.
pub struct Counts {
    blocks: PerCpuArray<MapData, [u64; BLOCK_WORDS]>,
    cells: BookCells,
    open: OpenCounts,
    /// Mini-sockets that the kernel side's table has room for.
    pub room: u32,
    /// What was returned last.
    last: Counted,
    /// What was counted in cells that have been removed.
    removed: Box<CgroupCell>,
}

/// What has been counted so far.
#[derive(Clone, Debug)]
pub struct Counted {
    /// See [`tcpwatch_common::counts`].
    pub words: Box<[u64; WORDS]>,
    /// The same by cgroup, as far as it is counted so, and sockets, see [`tcpwatch_common::books`].
    pub cells: CgroupCells,
}

/// Room in the table of mini-sockets: as many as the kernel allows (`tcp_max_tw_buckets`), at most
/// those that take 24 MiB.
pub(super) fn room(most_time_wait: Option<u32>) -> u32 {
    most_time_wait.unwrap_or(MAX_MINIS).clamp(4096, 1 << 18)
}

/// How many timewait sockets the kernel allows in this network namespace, if that can be read.
pub(super) fn most_time_wait() -> Option<u32> {
    fs::read_to_string(MAX_TIME_WAIT).ok()?.trim().parse().ok()
}

const MAX_TIME_WAIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

impl Counts {
    pub(super) fn new(
        blocks: PerCpuArray<MapData, [u64; BLOCK_WORDS]>,
        cells: BookCells,
        open: OpenCounts,
        room: u32,
    ) -> Self {
        let last = Counted { words: Box::new([0; WORDS]), cells: CgroupCells::new() };
        Self { blocks, cells, open, room, last, removed: Box::new([0; CELL_WORDS]) }
    }

    /// Sums of all words: a few system calls, and two for each cgroup, whatever there is to count. No word is ever
    /// smaller than at the call before, and what is counted by cgroup is the sum over all of them.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn read(&mut self) -> Result<&Counted, MapError> {
        let mut sums = [0; BLOCK_WORDS];
        // What is pending is read after the counts: what is settled in between is then missing for a
        // moment, where it would be there twice the other way round.
        for block in 0..BLOCKS {
            let block = u32::try_from(block).unwrap_or_default();
            for words in self.blocks.get(&block, 0)?.iter() {
                for (sum, word) in sums.iter_mut().zip(words) {
                    *sum += word;
                }
            }
        }
        let mut cells = self.cells.read()?;
        let now = clock::now();
        let mut own = |cgroup: u32, word: usize| {
            let cgroup = if cells.contains_key(&cgroup) { cgroup } else { 0 };
            if let Some(sum) = cells.get_mut(&cgroup).and_then(|cell| cell.get_mut(counted(word))) {
                *sum += 1;
            }
        };
        for words in self.open.0.get(&0, 0)?.iter() {
            let pending = Pending::from_words(*words);
            if has_waited(pending.timer, pending.at_ns, now.0) {
                let reason = pending.settle(&mut |word, number| {
                    if let Some(sum) = sums.get_mut(word) {
                        *sum += number;
                    }
                });
                own(MiniMark::from_word(pending.mark).cgroup, reason);
            }
        }
        for words in self.open.1.get(&0, 0)?.iter() {
            let awaiting = Awaiting::from_words(*words);
            if has_waited(awaiting.sock, awaiting.at_ns, now.0) {
                awaiting.settle(&mut own);
            }
        }
        self.last.raise(&sums, cells, &self.removed);
        Ok(&self.last)
    }

    /// What was read last.
    #[must_use]
    pub const fn last(&self) -> &Counted {
        &self.last
    }

    /// Forgets the sockets of a cgroup that has gone, to make room for another; what it has counted stays in the sums.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn remove(&mut self, cgroup: u32) -> Result<(), MapError> {
        self.cells.remove(cgroup)?;
        if let Some(cell) = self.last.cells.remove(&cgroup) {
            self.removed.iter_mut().zip(cell.iter()).for_each(|(sum, word)| *sum += word);
        }
        Ok(())
    }
}

impl Counted {
    fn raise(&mut self, block: &[u64; BLOCK_WORDS], mut cells: CgroupCells, removed: &CgroupCell) {
        for (cgroup, cell) in &mut cells {
            if let Some(last) = self.cells.get(cgroup) {
                let both = cell.iter_mut().zip(last.iter()).skip(COUNTED);
                both.for_each(|(word, last)| *word = (*word).max(*last));
            }
        }
        self.cells = cells;
        let (shared, own) = self.words.split_at_mut(BLOCK_WORDS);
        shared.iter_mut().zip(block).for_each(|(last, sum)| *last = (*last).max(*sum));
        for (place, word) in (COUNTED..).zip(own) {
            let of = |cell: &CgroupCell| cell.get(place).copied().unwrap_or_default();
            *word = of(removed) + self.cells.values().map(|cell| of(cell)).sum::<u64>();
        }
    }
}

/// Nothing has explained the event of this timer or socket (0: none) for so long that nothing will.
fn has_waited(object: u64, at_ns: u64, now_ns: u64) -> bool {
    let waited = Duration::from_nanos(now_ns.saturating_sub(at_ns));
    object != 0 && waited >= EXPLAINED_WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_an_end_when_nothing_has_explained_it_for_a_while() {
        assert!(!has_waited(8, 1_000, 19_000_000));
        assert!(has_waited(8, 1_000, 21_000_000));
        assert!(!has_waited(0, 0, 21_000_000), "nothing is pending");
    }
}
