//! What is before a block: what it holds, how long it is, and of which time.

use tcpwatch_core::event::KernelTime;

use super::MOST;

/// Bytes of a head.
pub const HEAD: usize = 44;
/// The first bytes of a head.
pub(super) const MARK: [u8; 4] = *b"tcpB";
/// Where the checksum of a head is.
const OWN_SUM: usize = 40;
/// In [`BlockHead`]'s flags.
const LASTING: u8 = 1;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlockKind {
    /// The header of the recording, JSON.
    Header = 0,
    /// Records, and lines of JSON between them.
    Entries = 1,
    /// Where the blocks of entries are.
    Index = 2,
}

impl BlockKind {
    const fn from_byte(byte: u8) -> Result<Self, NoHead> {
        match byte {
            0 => Ok(Self::Header),
            1 => Ok(Self::Entries),
            2 => Ok(Self::Index),
            _ => Err(NoHead),
        }
    }
}

/// The head of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// What is in it.
    pub kind: BlockKind,
    /// It holds what later blocks need: where cgroups are, sysctls.
    pub lasting: bool,
    /// Bytes that follow the head, compressed by zstd.
    pub stored: u32,
    /// Bytes of it when unpacked.
    pub plain: u32,
    /// Records in it.
    pub records: u32,
    /// The earliest time of what happened in it; later than the last one if nothing in it has a time.
    pub first: KernelTime,
    /// The latest.
    pub last: KernelTime,
    /// CRC-32 of the bytes that follow.
    pub sum: u32,
}

/// Bytes that are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHead;

impl BlockHead {
    /// Of an empty block of this kind, in which nothing has a time.
    pub(super) const fn without_records(kind: BlockKind) -> Self {
        let (first, last) = (KernelTime(u64::MAX), KernelTime(0));
        Self { kind, lasting: false, stored: 0, plain: 0, records: 0, first, last, sum: 0 }
    }

    /// As it is in the file.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
    pub fn to_bytes(&self) -> [u8; HEAD] {
        let mut bytes = Vec::with_capacity(HEAD);
        bytes.extend(MARK);
        bytes.extend([self.kind as u8, if self.lasting { LASTING } else { 0 }, 0, 0]);
        bytes.extend(self.stored.to_le_bytes());
        bytes.extend(self.plain.to_le_bytes());
        bytes.extend(self.records.to_le_bytes());
        bytes.extend(self.first.0.to_le_bytes());
        bytes.extend(self.last.0.to_le_bytes());
        bytes.extend(self.sum.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let mut head = [0; HEAD];
        head.copy_from_slice(&bytes);
        head
    }

    /// The kind of a block by the first bytes of its head, if they are enough, and not checked.
    #[must_use]
    pub fn kind_of(bytes: &[u8]) -> Option<BlockKind> {
        BlockKind::from_byte(*bytes.get(MARK.len())?).ok()
    }

    /// Reads a head and checks it.
    ///
    /// # Errors
    /// If the bytes are none, or of a block that is larger than one can be.
    pub fn from_bytes(bytes: &[u8; HEAD]) -> Result<Self, NoHead> {
        let (covered, own_sum) = bytes.split_at(OWN_SUM);
        let mut rest = Fields(covered);
        let (mark, kind, flags) = (rest.take::<4>()?, rest.byte()?, rest.byte()?);
        rest.take::<2>()?;
        let head = Self {
            kind: BlockKind::from_byte(kind)?,
            lasting: flags & LASTING != 0,
            stored: rest.u32()?,
            plain: rest.u32()?,
            records: rest.u32()?,
            first: KernelTime(rest.u64()?),
            last: KernelTime(rest.u64()?),
            sum: rest.u32()?,
        };
        let fits = |bytes: u32| usize::try_from(bytes).is_ok_and(|bytes| bytes <= MOST);
        let whole = own_sum == crc32fast::hash(covered).to_le_bytes();
        if mark == MARK && whole && fits(head.stored) && fits(head.plain) {
            Ok(head)
        } else {
            Err(NoHead)
        }
    }

    /// Can something in it have happened in this span, both ends included?
    #[must_use]
    pub fn touches(&self, from: KernelTime, to: KernelTime) -> bool {
        self.first <= to && self.last >= from
    }
}

/// Numbers one after the other.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], NoHead> {
        let (field, rest) = self.0.split_first_chunk().ok_or(NoHead)?;
        self.0 = rest;
        Ok(*field)
    }

    fn byte(&mut self) -> Result<u8, NoHead> {
        self.take().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, NoHead> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, NoHead> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, NoHead> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: BlockHead = BlockHead {
        kind: BlockKind::Entries,
        lasting: true,
        stored: 7,
        plain: 9,
        records: 3,
        first: KernelTime(5),
        last: KernelTime(8),
        sum: 0xdead_beef,
    };

    #[test]
    fn a_head_is_read_as_it_was_written_and_no_other_bytes_are() {
        let bytes = SOME.to_bytes();
        assert_eq!(BlockHead::from_bytes(&bytes), Ok(SOME));
        for at in 0..HEAD {
            let mut other = bytes;
            other[at] ^= 0x10;
            assert_eq!(BlockHead::from_bytes(&other), Err(NoHead), "byte {at}");
        }
        let large = BlockHead { plain: u32::MAX, ..SOME }.to_bytes();
        assert_eq!(BlockHead::from_bytes(&large), Err(NoHead), "no memory is taken for it");
    }

    #[test]
    fn a_block_touches_a_span_that_has_one_of_its_moments() {
        let touches = |from, to| SOME.touches(KernelTime(from), KernelTime(to));
        assert!(touches(8, 9) && touches(0, 5) && touches(6, 7) && touches(0, 99));
        assert!(!touches(9, 10) && !touches(0, 4));
    }
}
