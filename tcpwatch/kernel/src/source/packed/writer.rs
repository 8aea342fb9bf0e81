//! Writes a recording in blocks.

use std::io::{self, Write};

use zstd::bulk::Compressor;

use super::{
    MAGIC, MOST, VERSION,
    block::{BlockHead, BlockKind},
    chunk::RecordingChunk,
    columns::BlockColumns,
    index::BlockIndex,
};

/// Bytes of entries that make a block: as much as the cache of a processor holds.
const FULL: usize = 512 << 10;
/// Of zstd: the fastest one that packs in earnest.
const LEVEL: i32 = 1;

/// A file that is being written.
pub struct PackedWriter<W> {
    file: W,
    written: u64,
    columns: BlockColumns,
    index: BlockIndex,
    compressor: Compressor<'static>,
    plain: Vec<u8>,
}

impl<W: Write> PackedWriter<W> {
    /// Begins a file with a header, which is JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(mut file: W, header: &[u8]) -> io::Result<Self> {
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        let written = u64::try_from(MAGIC.len() + size_of_val(&VERSION)).unwrap_or(u64::MAX);
        let mut writer = Self {
            file,
            written,
            columns: BlockColumns::default(),
            index: BlockIndex::default(),
            compressor: Compressor::new(LEVEL)?,
            plain: Vec::new(),
        };
        writer.plain.extend_from_slice(header);
        writer.write(BlockHead::without_records(BlockKind::Header))?;
        Ok(writer)
    }

    /// Adds entries, and writes a block whenever there are enough for one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, chunk: &RecordingChunk) -> io::Result<()> {
        for (kind, entry) in chunk.iter() {
            self.columns.add(kind, entry, chunk.line_span());
            if self.columns.size() >= FULL {
                self.write_entries()?;
            }
        }
        Ok(())
    }

    /// Writes the entries that are left as a block, and all of it out.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_entries()?;
        self.file.flush()
    }

    /// The same, and the index behind it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_entries()?;
        let place = self.written;
        self.plain = self.index.to_bytes();
        self.write(BlockHead::without_records(BlockKind::Index))?;
        self.file.write_all(&BlockIndex::trailer(place))?;
        self.file.flush()?;
        Ok(self.file)
    }

    /// Bytes of it until now.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    fn write_entries(&mut self) -> io::Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let (first, last) = self.columns.span();
        let head = BlockHead {
            lasting: self.columns.is_lasting(),
            records: size(self.columns.records())?,
            first,
            last,
            ..BlockHead::without_records(BlockKind::Entries)
        };
        self.columns.write(&mut self.plain);
        self.index.push(self.written, &head);
        self.write(head)
    }

    /// Writes `plain` as a block with this head, whose lengths and checksum are filled in.
    fn write(&mut self, head: BlockHead) -> io::Result<()> {
        if self.plain.len() > MOST {
            let text = format!("{} bytes do not fit into a block of {MOST}", self.plain.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let packed = self.compressor.compress(&self.plain)?;
        let head = BlockHead {
            stored: size(packed.len())?,
            plain: size(self.plain.len())?,
            sum: crc32fast::hash(&packed),
            ..head
        };
        self.plain.clear();
        let head = head.to_bytes();
        self.file.write_all(&head)?;
        self.file.write_all(&packed)?;
        self.written += u64::try_from(head.len() + packed.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

fn size(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}
