//! Reads a recording in blocks, one after the other; what does not belong to the wanted span is passed over.

use std::io;

use tcpwatch_core::event::KernelTime;
use zstd::bulk::Decompressor;

use super::{
    MAGIC, VERSION,
    block::{BlockHead, BlockKind, HEAD},
    columns::{BlockEntries, BlockEntry},
    damage::{BlockDamage, EarlyFileEnd},
    index::{BlockIndex, TRAILER},
};
use crate::source::{recording::RecordingError, recording_input::RecordingInput};

/// Bytes before the first block.
const BEGINNING: usize = MAGIC.len() + size_of::<u32>();

/// A file that is being read.
pub struct PackedReader<F> {
    file: F,
    /// Bytes that were read or passed over.
    at: u64,
    /// Where this part begins.
    part_at: u64,
    /// The JSON of its header.
    pub header: Vec<u8>,
    wanted: Option<(KernelTime, KernelTime)>,
    index: Option<BlockIndex>,
    entries: BlockEntries,
    unpacker: Decompressor<'static>,
    stored: Vec<u8>,
    plain: Vec<u8>,
    end: Option<EarlyFileEnd>,
    /// Nothing is left.
    is_over: bool,
}

/// What comes next in the file.
enum NextBlock {
    /// Entries, which were taken in.
    Entries,
    /// The header of another part, which was taken in.
    Part,
    /// Nothing.
    End,
}

/// What a reader yields.
pub enum PackedItem<'a> {
    /// An entry of a block.
    Entry(BlockEntry<'a>),
    /// A further part begins here; its header is in the reader.
    Part,
}

impl<F: RecordingInput> PackedReader<F> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// If it cannot be read, or another version wrote it.
    pub fn open(file: F) -> Result<Self, RecordingError> {
        let mut reader = Self {
            file,
            at: 0,
            part_at: 0,
            header: Vec::new(),
            wanted: None,
            index: None,
            entries: BlockEntries::default(),
            unpacker: Decompressor::new()?,
            stored: Vec::new(),
            plain: Vec::new(),
            end: None,
            is_over: false,
        };
        let mut beginning = [0; BEGINNING];
        let read = reader.fill(&mut beginning)?;
        if read < BEGINNING || !reader.begin_part(&beginning)? {
            return Err(RecordingError::CutBeginning);
        }
        Ok(reader)
    }

    /// From now on only blocks with records of this span are read, and those that hold what later ones need.
    pub fn want(&mut self, from: KernelTime, to: KernelTime) {
        self.wanted = Some((from, to));
        self.index = self.file.index();
    }

    /// Bytes that were read or passed over.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Where the file ended before its end, once that has been read.
    pub const fn early_end(&self) -> Option<EarlyFileEnd> {
        self.end
    }

    /// What comes next.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn next_item(&mut self) -> Result<Option<PackedItem<'_>>, RecordingError> {
        while !self.entries.has_more() {
            if self.is_over {
                return Ok(None);
            }
            match self.next_block()? {
                NextBlock::Entries => {}
                NextBlock::Part => return Ok(Some(PackedItem::Part)),
                NextBlock::End => self.is_over = true,
            }
        }
        let at = self.at;
        let entry = self.entries.next_entry();
        entry.map(|entry| Some(PackedItem::Entry(entry))).ok_or(BlockDamage::Content { at }.into())
    }

    fn next_block(&mut self) -> Result<NextBlock, RecordingError> {
        loop {
            self.jump()?;
            let at = self.at;
            let mut bytes = [0; HEAD];
            let read = self.fill(&mut bytes)?;
            if read < HEAD {
                match bytes.get(..read).and_then(BlockHead::kind_of) {
                    Some(BlockKind::Index) => self.end = Some(EarlyFileEnd::Unfinished),
                    _ => self.cut(at, None),
                }
                return Ok(NextBlock::End);
            }
            let Ok(head) = BlockHead::from_bytes(&bytes) else {
                if bytes.ends_with(&[0]) && self.only_zeros()? {
                    self.cut(at, None);
                    return Ok(NextBlock::End);
                }
                return Err(BlockDamage::NoBlock { at }.into());
            };
            let needed = |(from, to)| head.lasting || head.touches(from, to);
            let is_whole = match head.kind {
                BlockKind::Entries if self.wanted.is_none_or(needed) => {
                    if self.read_payload(at, &head)? {
                        self.entries = BlockEntries::read(&self.plain)
                            .map_err(|_error| BlockDamage::Content { at })?;
                        return Ok(NextBlock::Entries);
                    }
                    false
                }
                BlockKind::Entries => self.pass(head.stored.into())?,
                BlockKind::Header => return Err(BlockDamage::Content { at }.into()),
                BlockKind::Index => {
                    if self.pass(head.stored.into())? {
                        return self.after_index();
                    }
                    false
                }
            };
            if !is_whole {
                match head.kind {
                    BlockKind::Index => self.end = Some(EarlyFileEnd::Unfinished),
                    _ => self.cut(at, Some(head.records)),
                }
                return Ok(NextBlock::End);
            }
        }
    }

    /// Passes over what the index says is not needed.
    fn jump(&mut self) -> Result<(), RecordingError> {
        if let (Some(index), Some((from, to))) = (&self.index, self.wanted) {
            let here = self.at - self.part_at;
            match index.next(here, from, to) {
                Some(next) => {
                    self.pass(next - here)?;
                }
                // Heads lead to the end.
                None => self.index = None,
            }
        }
        Ok(())
    }

    /// What is behind an index: the end, or another part.
    fn after_index(&mut self) -> Result<NextBlock, RecordingError> {
        let (mut trailer, mut beginning) = ([0; TRAILER], [0; BEGINNING]);
        let at = self.at;
        let read = self.fill(&mut trailer)?;
        if read == TRAILER && BlockIndex::place(trailer).is_none() {
            return Err(BlockDamage::Content { at }.into());
        }
        let at = self.at;
        match self.fill(&mut beginning)? {
            0 if read == TRAILER => return Ok(NextBlock::End),
            BEGINNING if !beginning.starts_with(&MAGIC) => {
                return Err(BlockDamage::NoBlock { at }.into());
            }
            BEGINNING if self.begin_part(&beginning)? => return Ok(NextBlock::Part),
            // Nothing of what is missing is a record.
            _ => self.end = Some(EarlyFileEnd::Unfinished),
        }
        Ok(NextBlock::End)
    }

    /// Reads the header that follows the beginning of a part; false if the file ends before that.
    fn begin_part(&mut self, beginning: &[u8; BEGINNING]) -> Result<bool, RecordingError> {
        let part_at = self.at - u64::try_from(BEGINNING).unwrap_or_default();
        let version = beginning.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if version != VERSION {
            return Err(RecordingError::Version(version));
        }
        let at = self.at;
        let mut bytes = [0; HEAD];
        if self.fill(&mut bytes)? < HEAD {
            return Ok(false);
        }
        let head = BlockHead::from_bytes(&bytes).map_err(|_error| BlockDamage::NoBlock { at })?;
        if head.kind != BlockKind::Header {
            return Err(BlockDamage::Content { at }.into());
        }
        if !self.read_payload(at, &head)? {
            return Ok(false);
        }
        self.header.clone_from(&self.plain);
        self.part_at = part_at;
        self.index = if self.wanted.is_some() { self.file.index() } else { None };
        Ok(true)
    }

    /// Reads and unpacks what is behind a head; false if the file ends before that.
    fn read_payload(&mut self, at: u64, head: &BlockHead) -> Result<bool, RecordingError> {
        let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut stored = std::mem::take(&mut self.stored);
        stored.resize(size(head.stored), 0);
        let read = self.fill(&mut stored)?;
        self.stored = stored;
        if read < self.stored.len() {
            return Ok(false);
        }
        if crc32fast::hash(&self.stored) != head.sum {
            if self.stored.ends_with(&[0; 8]) && self.only_zeros()? {
                return Ok(false);
            }
            return Err(BlockDamage::Sum { at }.into());
        }
        self.plain.clear();
        self.plain.reserve(size(head.plain));
        let unpacked = self.unpacker.decompress_to_buffer(&self.stored, &mut self.plain);
        if unpacked.is_ok_and(|bytes| bytes == size(head.plain)) {
            Ok(true)
        } else {
            Err(BlockDamage::Content { at }.into())
        }
    }

    fn cut(&mut self, at: u64, records: Option<u32>) {
        let bytes = self.at - at;
        self.end = Some(match bytes {
            0 => EarlyFileEnd::Unfinished,
            bytes => EarlyFileEnd::Block { at, bytes, records },
        });
    }

    /// Reads until the buffer is full or the file ends; returns how much.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize, RecordingError> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                // A compressed file breaks off like this.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.at += u64::try_from(filled).unwrap_or_default();
        Ok(filled)
    }

    /// Passes over so many bytes; false if the file ends before that.
    fn pass(&mut self, bytes: u64) -> Result<bool, RecordingError> {
        let passed = self.file.pass(bytes)?;
        self.at += passed;
        Ok(passed == bytes)
    }

    /// Is nothing left but zeros? That is what a machine leaves that lost its power.
    fn only_zeros(&mut self) -> Result<bool, RecordingError> {
        let mut some = [0; 4096];
        loop {
            let read = self.fill(&mut some)?;
            if some.iter().take(read).any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read < some.len() {
                return Ok(true);
            }
        }
    }
}
