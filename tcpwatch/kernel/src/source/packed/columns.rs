//! Entries of a block as columns: a record differs from the one before that is like it in few bytes, and which bytes
//! these are hardly changes. So records alike are put together in a group, each 32-bit word becomes the difference to
//! that word of the record before, and the first bytes of all differences come first, then all second ones: long
//! runs of zeros, which compress well. Their times are kept apart, as differences to the record before of any group.
//!
//! In order: the number of groups (2 bytes), of entries (4), of bytes of lines (4); of each group the length of its
//! records (2) and their number (4); the lines, each with its end; of each entry one byte, 0 for the next line or the
//! number of the group whose next record it is, from 1; the differences of times, zigzag, as eight columns of bytes; of
//! each group its columns of bytes. The bytes of a record behind its last whole word are columns without differences.

use rustc_hash::FxHashMap;
use tcpwatch_common::RecordKind;
use tcpwatch_core::event::KernelTime;

use super::{
    block::{Fields, NoHead},
    chunk::EntryKind,
};
use crate::source::recording_lines::record_line;

/// Bytes of the time, with which every record begins.
const TIME: usize = 8;
/// Groups of a block at most: their numbers are bytes, and 0 is not one.
const MOST_GROUPS: usize = 255;
const WORD: usize = 4;

/// The entries of a block, not compressed yet.
#[derive(Debug, Default)]
pub struct BlockColumns {
    groups: Vec<LikeRecords>,
    by_likeness: FxHashMap<Likeness, u8>,
    lines: Vec<u8>,
    order: Vec<u8>,
    times: Vec<u64>,
    time: u64,
    /// Bytes of records.
    size: usize,
    lasting: bool,
    span: Option<(u64, u64)>,
}

/// Records of one length, one behind the other, without their times.
#[derive(Debug, Default)]
struct LikeRecords {
    length: usize,
    count: usize,
    bytes: Vec<u8>,
}

/// What records of a group have in common: length; kind, family and flags; of a change the two states.
type Likeness = (usize, [u8; 4], [u8; 2]);

fn likeness(record: &[u8]) -> Likeness {
    let byte = |at: usize| record.get(at).copied().unwrap_or_default();
    let has_states = matches!(
        RecordKind::from_tag(byte(20)),
        Some(RecordKind::StateChange | RecordKind::StateChangeLast | RecordKind::MiniSocket)
    );
    let states = if has_states { [byte(32), byte(33)] } else { [0; 2] };
    (record.len(), [byte(20), byte(21), byte(26), byte(27)], states)
}

impl BlockColumns {
    /// Adds an entry; `lines` is the earliest and the latest time of the lines that it is among.
    pub fn add(&mut self, kind: EntryKind, entry: &[u8], lines: Option<(KernelTime, KernelTime)>) {
        match kind {
            EntryKind::Record => self.record(entry),
            EntryKind::Line => {
                if let Some((first, last)) = lines {
                    self.reach(first.0);
                    self.reach(last.0);
                }
                self.line(entry);
            }
            EntryKind::LastingLine => {
                self.lasting = true;
                self.line(entry);
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        self.order.push(0);
    }

    fn record(&mut self, record: &[u8]) {
        let Some((time, rest)) = record.split_first_chunk::<TIME>() else {
            return self.line(&record_line(record));
        };
        let Some(number) = self.group_of(record) else { return self.line(&record_line(record)) };
        let Some(group) = self.groups.get_mut(usize::from(number) - 1) else { return };
        group.bytes.extend_from_slice(rest);
        group.count += 1;
        self.order.push(number);
        let time = u64::from_ne_bytes(*time);
        self.times.push(zigzag(time.wrapping_sub(std::mem::replace(&mut self.time, time))));
        self.reach(time);
        self.size += record.len();
    }

    fn reach(&mut self, time: u64) {
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }

    /// The number of the group for this record; none if there are too many groups, and none for its length.
    fn group_of(&mut self, record: &[u8]) -> Option<u8> {
        let likeness = likeness(record);
        if let Some(number) = self.by_likeness.get(&likeness) {
            return Some(*number);
        }
        let number = if self.groups.len() < MOST_GROUPS && u16::try_from(record.len()).is_ok() {
            self.groups.push(LikeRecords { length: record.len(), ..LikeRecords::default() });
            u8::try_from(self.groups.len()).ok()?
        } else {
            let same = self.groups.iter().position(|group| group.length == record.len())?;
            u8::try_from(same + 1).ok()?
        };
        self.by_likeness.insert(likeness, number);
        Some(number)
    }

    /// Bytes of its entries, about.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size + self.lines.len()
    }

    /// Nothing was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of records.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.times.len()
    }

    /// It has a line that later blocks need, or nothing but what has no time.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        self.lasting || self.span.is_none()
    }

    /// The earliest and the latest time of what happened; without one the first is the later one.
    #[must_use]
    pub fn span(&self) -> (KernelTime, KernelTime) {
        let (first, last) = self.span.unwrap_or((u64::MAX, 0));
        (KernelTime(first), KernelTime(last))
    }

    /// Appends all to `out`, and is empty afterwards.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let groups = u16::try_from(self.groups.len()).unwrap_or(u16::MAX);
        out.extend(groups.to_le_bytes());
        out.extend(count(self.order.len()));
        out.extend(count(self.lines.len()));
        for group in &self.groups {
            out.extend(u16::try_from(group.length).unwrap_or(u16::MAX).to_le_bytes());
            out.extend(count(group.count));
        }
        out.append(&mut self.lines);
        out.append(&mut self.order);
        for shift in (0..u64::BITS).step_by(8) {
            out.extend(self.times.iter().map(|time| low_byte(time >> shift)));
        }
        self.times.clear();
        for group in self.groups.drain(..) {
            group.write(out);
        }
        self.by_likeness.clear();
        (self.time, self.size, self.lasting, self.span) = (0, 0, false, None);
    }
}

const fn low_byte(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

const fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (difference >> 63).wrapping_neg()
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

impl LikeRecords {
    const fn row(&self) -> usize {
        self.length - TIME
    }

    fn write(&self, out: &mut Vec<u8>) {
        let row = self.row();
        let words = row / WORD;
        for word in 0..words {
            let begin = out.len();
            out.resize(begin + WORD * self.count, 0);
            let (_, column) = out.split_at_mut(begin);
            let (low, high) = column.split_at_mut(2 * self.count);
            let (first, second) = low.split_at_mut(self.count);
            let (third, fourth) = high.split_at_mut(self.count);
            let planes = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
            let mut before = 0;
            for (record, ((a, b), (c, d))) in self.bytes.chunks_exact(row).zip(planes) {
                let value = word_of(record, word);
                [*a, *b, *c, *d] = value.wrapping_sub(before).to_le_bytes();
                before = value;
            }
        }
        for byte in words * WORD..row {
            let column = self.bytes.chunks_exact(row).filter_map(|record| record.get(byte));
            out.extend(column);
        }
    }

    /// Puts the columns back into rows that are as long as a record, with room for the times.
    fn read(length: usize, count: usize, columns: &[u8]) -> Self {
        let row = length - TIME;
        let mut bytes = vec![0; length * count];
        let words = row / WORD;
        let (differences, rest) = columns.split_at(words * WORD * count);
        if count > 0 {
            for (word, column) in differences.chunks_exact(WORD * count).enumerate() {
                let at = TIME + word * WORD;
                let mut before = 0_u32;
                let (low, high) = column.split_at(2 * count);
                let ((a, b), (c, d)) = (low.split_at(count), high.split_at(count));
                let columns = a.iter().zip(b).zip(c.iter().zip(d));
                for (record, ((a, b), (c, d))) in bytes.chunks_exact_mut(length).zip(columns) {
                    before = before.wrapping_add(u32::from_le_bytes([*a, *b, *c, *d]));
                    if let Some(into) = record.get_mut(at..at + WORD) {
                        into.copy_from_slice(&before.to_le_bytes());
                    }
                }
            }
            for (number, column) in rest.chunks_exact(count).enumerate() {
                let at = TIME + words * WORD + number;
                for (record, byte) in bytes.chunks_exact_mut(length).zip(column) {
                    if let Some(into) = record.get_mut(at) {
                        *into = *byte;
                    }
                }
            }
        }
        Self { length, count, bytes }
    }
}

fn word_of(record: &[u8], word: usize) -> u32 {
    let word = record.get(word * WORD..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The entries of a block that was read.
#[derive(Debug, Default)]
pub struct BlockEntries {
    groups: Vec<LikeRecords>,
    /// The next record of each group.
    next: Vec<usize>,
    lines: Vec<u8>,
    line: usize,
    order: Vec<u8>,
    at: usize,
    times: Vec<u64>,
    record: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockEntry<'a> {
    /// A record.
    Record(&'a [u8]),
    /// A line of JSON.
    Line(&'a [u8]),
}

impl BlockEntries {
    /// Reads what [`BlockColumns::write`] wrote.
    ///
    /// # Errors
    /// If it did not write this.
    pub fn read(bytes: &[u8]) -> Result<Self, NoHead> {
        let mut fields = Fields(bytes);
        let groups = usize::from(fields.u16()?);
        let [entries, line_bytes] = [fields.u32()?, fields.u32()?].map(usize::try_from);
        let (entries, line_bytes) = (entries.map_err(no_head)?, line_bytes.map_err(no_head)?);
        let mut sizes = Vec::new();
        for _ in 0..groups {
            let length = usize::from(fields.u16()?);
            let count = usize::try_from(fields.u32()?).map_err(no_head)?;
            if length < TIME {
                return Err(NoHead);
            }
            sizes.push((length, count));
        }
        let mut rest = fields.0;
        let lines = part(&mut rest, line_bytes)?.to_vec();
        let order = part(&mut rest, entries)?.to_vec();
        let records = order.iter().filter(|group| **group != 0).count();
        let times = times(part(&mut rest, records.checked_mul(TIME).ok_or(NoHead)?)?, records);
        let mut read = Vec::new();
        for (length, count) in sizes {
            let columns = (length - TIME).checked_mul(count).ok_or(NoHead)?;
            let columns = part(&mut rest, columns)?;
            // Each has at least its place in the order.
            if count > records {
                return Err(NoHead);
            }
            read.push(LikeRecords::read(length, count, columns));
        }
        let next = vec![0; read.len()];
        let entries = Self { groups: read, next, lines, order, times, line: 0, at: 0, record: 0 };
        if rest.is_empty() && entries.add_up() { Ok(entries) } else { Err(NoHead) }
    }

    /// Every line and every record of a group is one entry.
    fn add_up(&self) -> bool {
        let mut counts = [0_usize; MOST_GROUPS + 1];
        for group in &self.order {
            if let Some(count) = counts.get_mut(usize::from(*group)) {
                *count += 1;
            }
        }
        let lines = self.lines.split(|byte| *byte == b'\n').count() - 1;
        let ends = self.lines.last().is_none_or(|byte| *byte == b'\n');
        let groups = self.groups.iter().map(|group| group.count);
        let none = std::iter::repeat_n(0, MOST_GROUPS - self.groups.len().min(MOST_GROUPS));
        let due = std::iter::once(lines).chain(groups).chain(none);
        ends && self.groups.len() <= MOST_GROUPS && counts.into_iter().eq(due)
    }

    /// There is a next entry.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.at < self.order.len()
    }

    /// The next entry.
    pub fn next_entry(&mut self) -> Option<BlockEntry<'_>> {
        let number = usize::from(*self.order.get(self.at)?);
        self.at += 1;
        let Some(number) = number.checked_sub(1) else {
            let rest = self.lines.get(self.line..)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            self.line += end + 1;
            return rest.get(..end).map(BlockEntry::Line);
        };
        let time = self.times.get(self.record)?;
        self.record += 1;
        let (group, next) = (self.groups.get_mut(number)?, self.next.get_mut(number)?);
        let begin = *next * group.length;
        *next += 1;
        let record = group.bytes.get_mut(begin..begin + group.length)?;
        record.get_mut(..TIME)?.copy_from_slice(&time.to_ne_bytes());
        Some(BlockEntry::Record(record))
    }
}

fn no_head(_error: std::num::TryFromIntError) -> NoHead {
    NoHead
}

fn part<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], NoHead> {
    let (part, others) = rest.split_at_checked(length).ok_or(NoHead)?;
    *rest = others;
    Ok(part)
}

/// The times of so many records, from eight columns.
fn times(columns: &[u8], records: usize) -> Vec<u64> {
    let mut times = vec![0_u64; records];
    if records > 0 {
        for (byte, column) in (0_u32..).zip(columns.chunks_exact(records)) {
            for (time, part) in times.iter_mut().zip(column) {
                *time |= u64::from(*part) << (8 * byte);
            }
        }
    }
    let mut before = 0_u64;
    for time in &mut times {
        before = before.wrapping_add(unzigzag(*time));
        *time = before;
    }
    times
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
        let record = (0..3_usize, any::<u8>(), any::<u8>()).prop_map(|(length, kind, byte)| {
            let mut record = vec![byte; [64, 73, 104][length]];
            record[20] = kind % 14;
            record[7] = 0;
            (true, record)
        });
        let any_record = vec(any::<u8>(), 0..90).prop_map(|bytes| (true, bytes));
        let line = "[a-z{}]{0,20}".prop_map(|text| (false, text.into_bytes()));
        vec(prop_oneof![8 => record, 1 => any_record, 1 => line], 0..60)
    }

    fn columns(entries: &[(bool, Vec<u8>)]) -> Vec<u8> {
        let (mut columns, mut bytes) = (BlockColumns::default(), Vec::new());
        for (is_record, entry) in entries {
            let kind = if *is_record { EntryKind::Record } else { EntryKind::Line };
            columns.add(kind, entry, Some((KernelTime(1), KernelTime(1))));
        }
        columns.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_written(entries in entries()) {
            let mut read = BlockEntries::read(&columns(&entries)).unwrap();
            for (is_record, entry) in entries {
                let expected = match is_record {
                    true if entry.len() < TIME => BlockEntry::Line(&record_line(&entry)).to_owned_entry(),
                    true => (true, entry),
                    false => (false, entry),
                };
                prop_assert_eq!(read.next_entry().unwrap().to_owned_entry(), expected);
            }
            prop_assert!(!read.has_more() && read.next_entry().is_none());
        }

        #[test]
        fn other_bytes_are_refused_or_read_to_their_end(
            entries in entries(),
            damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<proptest::sample::Index>(),
            cuts: bool,
        ) {
            let mut bytes = columns(&entries);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(if cuts { cut.index(bytes.len()) } else { bytes.len() });
            if let Ok(mut read) = BlockEntries::read(&bytes) {
                while read.has_more() {
                    prop_assert!(read.next_entry().is_some());
                }
            }
        }
    }

    #[test]
    fn more_kinds_of_records_than_there_are_groups_are_kept() {
        let entries: Vec<_> = (0..600_usize).map(|n| (true, vec![1; 8 + n])).collect();
        let mut read = BlockEntries::read(&columns(&entries)).unwrap();
        let count = std::iter::from_fn(|| read.next_entry().map(|_| ())).count();
        assert_eq!(count, entries.len());
    }

    impl BlockEntry<'_> {
        fn to_owned_entry(self) -> (bool, Vec<u8>) {
            match self {
                Self::Record(bytes) => (true, bytes.to_vec()),
                Self::Line(bytes) => (false, bytes.to_vec()),
            }
        }
    }
}
