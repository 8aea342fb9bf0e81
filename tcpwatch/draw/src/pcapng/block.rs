//! Blocks of a pcapng file (draft-ietf-opsawg-pcapng), in little-endian byte order.

/// The types of blocks that are written.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE: u32 = 1;
pub(super) const NAMES: u32 = 4;
pub(super) const STATISTICS: u32 = 5;
pub(super) const PACKET: u32 = 6;
pub(super) const JOURNAL: u32 = 9;

/// The option that is a comment, in every block.
pub(super) const COMMENT: u16 = 1;

/// The body of a block under construction.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    pub(super) fn u16(mut self, number: u16) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// A time in units of the interface's resolution: its upper half comes first.
    pub(super) fn time(self, units: u64) -> Self {
        let [a, b, c, d, low @ ..] = units.to_be_bytes();
        self.u32(u32::from_be_bytes([a, b, c, d])).u32(u32::from_be_bytes(low))
    }

    /// Bytes, padded to a multiple of four.
    pub(super) fn padded(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
        self
    }

    /// An option; what is longer than its length can say is cut.
    pub(super) fn option(self, code: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let value = value.get(..usize::from(length)).unwrap_or(value);
        self.u16(code).u16(length).padded(value)
    }

    /// The end of the options.
    pub(super) fn end(self) -> Self {
        self.u16(0).u16(0)
    }

    /// The bytes so far.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// Appends the block to a file.
    pub(super) fn write(self, kind: u32, out: &mut Vec<u8>) {
        let length = u32::try_from(self.0.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&length);
        out.extend_from_slice(&self.0);
        out.extend_from_slice(&length);
    }
}
