//! Reads what the kernel side counted: the blocks of all CPUs become one sum that never gets smaller.

use std::{fs, time::Duration};

use aya::maps::{MapData, MapError, PerCpuArray};
use tcpwatch_common::{
    Awaiting,
    awaiting::AWAITING_WORDS,
    counts::{BLOCKS, MAX_MINIS, PENDING_WORDS, Pending, WORDS},
    mini_clock::DECIDED_WITHIN_NS,
};
use tcpwatch_core::event::Netns;

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
    blocks: PerCpuArray<MapData, [u64; WORDS]>,
    open: OpenCounts,
    /// Mini-sockets that the kernel side's table has room for.
    pub room: u32,
    /// What was returned last.
    told: Box<[u64; WORDS]>,
}

/// Room in the table of mini-sockets: as many as the kernel allows (`tcp_max_tw_buckets`), at most
/// those that take 24 MiB.
pub(super) fn room() -> u32 {
    let allowed = fs::read_to_string(MAX_TIME_WAIT).ok().and_then(|text| text.trim().parse().ok());
    allowed.unwrap_or(MAX_MINIS).clamp(4096, 1 << 18)
}

const MAX_TIME_WAIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";

impl Counts {
    pub(super) fn new(
        blocks: PerCpuArray<MapData, [u64; WORDS]>,
        open: OpenCounts,
        room: u32,
    ) -> Self {
        Self { blocks, open, room, told: Box::new([0; WORDS]) }
    }

    /// Sums of all words, see [`tcpwatch_common::counts`]: a few system calls, whatever there is to
    /// count. No word is ever smaller than at the call before.
    ///
    /// # Errors
    /// If a map cannot be read.
    pub fn read(&mut self) -> Result<&[u64; WORDS], MapError> {
        let mut sums = Box::new([0; WORDS]);
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
        let now = clock::now();
        let mut add = |word, number| {
            if let Some(sum) = sums.get_mut(word) {
                *sum += number;
            }
        };
        for words in self.open.0.get(&0, 0)?.iter() {
            let pending = Pending::from_words(*words);
            if has_waited(pending.timer, pending.at_ns, now.0) {
                pending.settle(&mut add);
            }
        }
        for words in self.open.1.get(&0, 0)?.iter() {
            let awaiting = Awaiting::from_words(*words);
            if has_waited(awaiting.sock, awaiting.at_ns, now.0) {
                awaiting.settle(&mut add);
            }
        }
        for (told, sum) in self.told.iter_mut().zip(sums.iter()) {
            *told = (*told).max(*sum);
        }
        Ok(&self.told)
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
