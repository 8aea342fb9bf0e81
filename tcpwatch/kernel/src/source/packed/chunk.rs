//! Entries on their way into a block: records, and lines of JSON between them.

use std::ops::Range;

use tcpwatch_core::event::KernelTime;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A record of the kernel side.
    Record,
    /// A line of JSON, without its end.
    Line,
    /// One that later blocks need.
    LastingLine,
}

/// Entries in their order, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct RecordingChunk {
    bytes: Vec<u8>,
    entries: Vec<(EntryKind, u32)>,
    /// The earliest and the latest time of its lines.
    line_span: Option<(KernelTime, KernelTime)>,
}

impl RecordingChunk {
    /// An empty one with room for as much as is in another one.
    #[must_use]
    pub fn as_large_as(other: &Self) -> Self {
        let bytes = Vec::with_capacity(other.bytes.len());
        Self { bytes, entries: Vec::with_capacity(other.entries.len()), line_span: None }
    }

    /// Adds a record.
    pub fn record(&mut self, record: &[u8]) {
        self.push(EntryKind::Record, record);
    }

    /// Adds a line about what happened at this time.
    pub fn line(&mut self, at: KernelTime, line: &[u8]) {
        let (first, last) = self.line_span.unwrap_or((at, at));
        self.line_span = Some((first.min(at), last.max(at)));
        self.push(EntryKind::Line, line);
    }

    /// Adds a line that is needed whenever it was written.
    pub fn lasting_line(&mut self, line: &[u8]) {
        self.push(EntryKind::LastingLine, line);
    }

    fn push(&mut self, kind: EntryKind, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.entries.push((kind, u32::try_from(entry.len()).unwrap_or(u32::MAX)));
    }

    /// The earliest and the latest time of its lines, if there is one.
    #[must_use]
    pub const fn line_span(&self) -> Option<(KernelTime, KernelTime)> {
        self.line_span
    }

    /// Number of entries.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len() + size_of::<(EntryKind, u32)>() * self.entries.len()
    }

    /// Adds all entries of another one, records only.
    pub fn append(&mut self, records: &Self) {
        self.bytes.extend_from_slice(&records.bytes);
        self.entries.extend_from_slice(&records.entries);
    }

    /// It has no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in their order.
    pub fn iter(&self) -> impl Iterator<Item = (EntryKind, &[u8])> {
        let mut at = 0;
        self.entries.iter().map(move |(kind, length)| {
            let end = at + usize::try_from(*length).unwrap_or(usize::MAX);
            let range: Range<usize> = std::mem::replace(&mut at, end)..end;
            (*kind, self.bytes.get(range).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_given_back_in_their_order() {
        let mut chunk = RecordingChunk::default();
        assert!(chunk.is_empty());
        let entries = [
            (EntryKind::Record, b"one".as_slice()),
            (EntryKind::Line, b""),
            (EntryKind::LastingLine, b"{}"),
        ];
        chunk.record(b"one");
        chunk.line(KernelTime(7), b"");
        chunk.lasting_line(b"{}");
        assert_eq!(chunk.iter().collect::<Vec<_>>(), entries);
        assert_eq!(chunk.line_span(), Some((KernelTime(7), KernelTime(7))));
    }
}
