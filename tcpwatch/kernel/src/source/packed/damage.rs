//! What is wrong with a recording in blocks.

/// Where a recording ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyFileEnd {
    /// Within this line, of a recording in lines.
    Line(usize),
    /// Within a block.
    Block {
        /// Where it begins, in bytes from the beginning.
        at: u64,
        /// Bytes of it that are there.
        bytes: u64,
        /// Records that it had, if that is known.
        records: Option<u32>,
    },
    /// Behind a block, and without the index that is the last one.
    Unfinished,
}

/// A block that is not what it should be, by where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockDamage {
    /// There is none.
    #[error(
        "the recording is damaged at byte {at}: no block begins there, and one should. What is before it was replayed"
    )]
    NoBlock {
        /// Where.
        at: u64,
    },
    /// Its bytes are not those that were written.
    #[error(
        "the block at byte {at} of the recording is damaged: its checksum differs. What is before it was replayed"
    )]
    Sum {
        /// Where.
        at: u64,
    },
    /// It was written like this, but not by tcpwatch.
    #[error(
        "the block at byte {at} of the recording is damaged: `tcpwatch --record` does not write such a block"
    )]
    Content {
        /// Where.
        at: u64,
    },
    /// Another recording is behind this one.
    #[error(
        "another recording begins at byte {at} of this one: only the parts of one run, in their order, can be \
         replayed together"
    )]
    Another {
        /// Where.
        at: u64,
    },
}
