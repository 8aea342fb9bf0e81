//! Where the blocks of a file are, by the times of their records: written at its end, so that a part of a long
//! recording is found without reading the rest.

use tcpwatch_core::event::KernelTime;

use super::block::{BlockHead, Fields, NoHead};

/// The last bytes of a file that was ended in order, behind the eight of where its index begins.
const END: [u8; 8] = *b"tcpwEND\n";
/// Bytes behind an index.
pub const TRAILER: usize = 16;
/// Entries at most; with more blocks an entry stands for several that follow each other.
const MOST_ENTRIES: usize = 1 << 15;

/// Blocks that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Where the first one begins, from the beginning of the file.
    pub at: u64,
    /// The earliest time of their records.
    pub first: KernelTime,
    /// The latest.
    pub last: KernelTime,
    /// One of them holds what later blocks need.
    pub lasting: bool,
}

impl IndexEntry {
    const fn is_needed(&self, from: KernelTime, to: KernelTime) -> bool {
        self.lasting || self.first.0 <= to.0 && self.last.0 >= from.0
    }
}

/// All blocks of entries of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockIndex {
    entries: Vec<IndexEntry>,
    /// Blocks of an entry.
    blocks_each: u32,
    /// Blocks of the last entry.
    blocks: u32,
}

impl Default for BlockIndex {
    fn default() -> Self {
        Self { entries: Vec::new(), blocks_each: 1, blocks: 0 }
    }
}

impl BlockIndex {
    /// Adds the block that begins at `at`.
    pub fn push(&mut self, at: u64, head: &BlockHead) {
        let entry = IndexEntry { at, first: head.first, last: head.last, lasting: head.lasting };
        match self.entries.last_mut() {
            Some(last) if self.blocks < self.blocks_each => {
                last.join(&entry);
                self.blocks += 1;
            }
            _ => {
                if self.entries.len() == MOST_ENTRIES {
                    self.halve();
                }
                self.entries.push(entry);
                self.blocks = 1;
            }
        }
    }

    fn halve(&mut self) {
        self.blocks_each = self.blocks_each.saturating_mul(2);
        let joined = self.entries.chunks(2).filter_map(|pair| {
            let (mut first, others) = pair.split_first().map(|(first, others)| (*first, others))?;
            for other in others {
                first.join(other);
            }
            Some(first)
        });
        self.entries = joined.collect();
    }

    /// As it is in the file, not compressed yet.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(25 * self.entries.len());
        for entry in &self.entries {
            bytes.extend(entry.at.to_le_bytes());
            bytes.extend(entry.first.0.to_le_bytes());
            bytes.extend(entry.last.0.to_le_bytes());
            bytes.push(u8::from(entry.lasting));
        }
        bytes
    }

    /// What is behind the index that begins at `at`.
    #[must_use]
    pub fn trailer(at: u64) -> [u8; TRAILER] {
        let mut trailer = [0; TRAILER];
        let (place, end) = trailer.split_at_mut(8);
        place.copy_from_slice(&at.to_le_bytes());
        end.copy_from_slice(&END);
        trailer
    }

    /// Where the index begins, by the last bytes of a file.
    #[must_use]
    pub fn place(trailer: [u8; TRAILER]) -> Option<u64> {
        let mut fields = Fields(&trailer);
        let (place, end) = (fields.u64().ok()?, fields.take().ok()?);
        (end == END).then_some(place)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// If it did not write this.
    pub fn read(bytes: &[u8]) -> Result<Self, NoHead> {
        let mut fields = Fields(bytes);
        let mut entries = Vec::new();
        while !fields.0.is_empty() {
            let [at, first, last] = [fields.u64()?, fields.u64()?, fields.u64()?];
            let [lasting] = fields.take()?;
            let (first, last) = (KernelTime(first), KernelTime(last));
            entries.push(IndexEntry { at, first, last, lasting: lasting != 0 });
        }
        if !entries.is_sorted_by(|one, next| one.at < next.at) {
            return Err(NoHead);
        }
        Ok(Self { entries, ..Self::default() })
    }

    /// Where to read on from `at` for what happened in this span: there, or further on; `None` if nothing is left.
    #[must_use]
    pub fn next(&self, at: u64, from: KernelTime, to: KernelTime) -> Option<u64> {
        let here = self.entries.partition_point(|entry| entry.at <= at).saturating_sub(1);
        let mut rest = self.entries.iter().skip(here);
        rest.find(|entry| entry.is_needed(from, to)).map(|entry| entry.at.max(at))
    }
}

impl IndexEntry {
    fn join(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.lasting |= other.lasting;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::block::BlockKind, *};

    fn head(first: u64, last: u64, lasting: bool) -> BlockHead {
        let (first, last) = (KernelTime(first), KernelTime(last));
        let kind = BlockKind::Entries;
        BlockHead { kind, lasting, stored: 0, plain: 0, records: 1, first, last, sum: 0 }
    }

    #[test]
    fn an_index_says_where_to_read_on() {
        let mut index = BlockIndex::default();
        index.push(100, &head(10, 19, true));
        index.push(200, &head(20, 29, false));
        index.push(300, &head(30, 39, false));
        let index = BlockIndex::read(&index.to_bytes()).unwrap();
        let next = |at, from, to| index.next(at, KernelTime(from), KernelTime(to));
        assert_eq!(next(100, 35, 99), Some(100), "what later ones need");
        assert_eq!(next(200, 35, 99), Some(300));
        assert_eq!(next(250, 25, 26), Some(250), "within an entry");
        assert_eq!(next(300, 25, 26), None);
        assert_eq!(BlockIndex::read(&index.to_bytes()[1..]), Err(NoHead));
    }

    #[test]
    fn an_index_of_many_blocks_is_coarser_and_leaves_none_out() {
        let mut index = BlockIndex::default();
        let blocks = 3 * u64::try_from(MOST_ENTRIES).unwrap();
        (0..blocks).for_each(|n| index.push(n, &head(n, n, false)));
        assert!(index.entries.len() <= MOST_ENTRIES);
        for wanted in [0, 1, blocks / 2, blocks - 1] {
            let at = index.next(0, KernelTime(wanted), KernelTime(wanted)).unwrap();
            assert!((wanted.saturating_sub(3)..=wanted).contains(&at), "{at} for {wanted}");
        }
    }

    #[test]
    fn the_end_of_a_file_says_where_its_index_is() {
        assert_eq!(BlockIndex::place(BlockIndex::trailer(77)), Some(77));
        assert_eq!(BlockIndex::place([0; TRAILER]), None);
    }
}
