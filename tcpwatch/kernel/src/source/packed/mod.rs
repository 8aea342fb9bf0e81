//! The form in which a recording is written: blocks of records, compressed, with a checksum each.
//!
//! All numbers of the form are little-endian; records are as the kernel side wrote them, in the byte order of that
//! machine. A file is [`MAGIC`], [`VERSION`] in four bytes, and blocks. The first block holds the
//! [`Header`](super::recording::Header) as JSON, every other one [entries](columns), the last one an [index] of
//! those, which is missing if the writer was killed. Before each block is a [`BlockHead`](block::BlockHead) with its
//! length, its checksum and the times of its records, so that it can be passed over unread.
//!
//! Several such files, one after the other, are one recording if they were written by one run (`--record-max`).

pub mod block;
pub mod chunk;
pub mod columns;
pub mod damage;
pub mod index;
pub mod reader;
pub mod writer;

/// The first bytes of a file, and of every further part of a recording: no text, and changed by whatever takes it for
/// text.
pub const MAGIC: [u8; 8] = *b"\x89tcpwR\r\n";
/// The version of the form that is written and read.
pub const VERSION: u32 = 2;
/// Bytes of a block at most, compressed or not: checked before memory is taken.
pub const MOST: usize = 4 << 20;
