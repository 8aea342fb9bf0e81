//! A segment on a link of the laboratory.
//!
//! Producer: `tcpwatch-ebpf/src/lab_tap.rs`. Consumer: `tcpwatch/core/src/decode/segment.rs`.

use crate::record::RecordHead;

/// [`RecordHead::flags`]: the segment is outgoing; otherwise it is incoming.
pub const FLAG_OUT: u16 = 1 << 0;
/// [`RecordHead::flags`]: the rule in the slot [`Segment::rule`] dropped it.
pub const FLAG_DROPPED: u16 = 1 << 1;

/// Words of options in a TCP header at most: its length counts 15 words, of which 5 are fixed.
pub const OPTION_WORDS: usize = 10;

/// One segment. [`RecordHead::cookie`] is 0: a segment on a link belongs to no socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Segment<const WORDS: usize> {
    /// Time, namespace, ports; local is the host on whose link it was, whichever way it went.
    pub head: RecordHead,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Bytes of data. A segment that the network is to cut into smaller ones is one here (GSO).
    pub len: u32,
    /// The window field, not scaled.
    pub window: u16,
    /// The byte of flags (RFC 9293, section 3.1).
    pub flags: u8,
    /// Slot of the rule, with [`FLAG_DROPPED`].
    pub rule: u8,
    /// Options as they are in the header, and zeros behind them, which end a list of options.
    pub options: [[u8; 4]; OPTION_WORDS],
    /// Address of the host; its bytes in memory are in network order.
    pub local: [u32; WORDS],
    /// Address of the peer; its bytes in memory are in network order.
    pub remote: [u32; WORDS],
}

const _: () = {
    assert!(size_of::<Segment<1>>() == 96, "IPv4 record");
    assert!(size_of::<Segment<4>>() == 120, "IPv6 record");
    assert!(align_of::<Segment<4>>() == 8, "ring records are 8-byte aligned");
    assert!(core::mem::offset_of!(Segment<1>, remote) + 4 == 96, "no tail padding");
    assert!(core::mem::offset_of!(Segment<4>, remote) + 16 == 120, "no tail padding");
};
