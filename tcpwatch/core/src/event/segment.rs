//! A segment on a link of the laboratory, as its tap saw it pass or dropped it.

use std::fmt;

use super::{Endpoints, KernelTime, Netns, Shown, Subject, TcpState};

/// Which way a segment went, seen from the host on whose link it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// It came in.
    In,
    /// It went out.
    Out,
}

impl Way {
    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// The flags of a TCP header (RFC 9293, section 3.1), the byte as it stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Sequence numbers are synchronised.
    pub const SYN: Self = Self(1 << 1);
    /// The connection is reset.
    pub const RST: Self = Self(1 << 2);
    /// Push.
    pub const PSH: Self = Self(1 << 3);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(1 << 4);
    /// The urgent pointer counts.
    pub const URG: Self = Self(1 << 5);

    /// Explicit congestion notification: the echo (RFC 3168).
    pub const ECE: Self = Self(1 << 6);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(1 << 7);

    /// All of them by name, those that a segment is called by first.
    pub const NAMES: [(Self, &str); 8] = [
        (Self::SYN, "SYN"),
        (Self::FIN, "FIN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
        (Self::ACK, "ACK"),
    ];

    /// Are all of these set?
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl fmt::Display for TcpFlags {
    /// `SYN+ACK`, `ACK`; `none` without any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Self::NAMES.iter().filter(|(flag, _)| self.has(*flag));
        for (place, (_, name)) in set.enumerate() {
            f.write_str(if place > 0 { "+" } else { "" })?;
            f.write_str(name)?;
        }
        if self.0 == 0 { f.write_str("none") } else { Ok(()) }
    }
}

/// A segment that passed a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEvent {
    /// When, by the kernel's clock.
    pub at: KernelTime,
    /// The network namespace of the host.
    pub netns: Netns,
    /// The host's end is `local`, whichever way the segment went.
    pub ends: Endpoints,
    /// Which way.
    pub way: Way,
    /// Flags.
    pub flags: TcpFlags,
    /// Sequence number of the first byte, or of SYN or FIN.
    pub seq: u32,
    /// Acknowledgment number; meaningful with ACK.
    pub ack: u32,
    /// Bytes of data.
    pub len: u32,
    /// The window field, not scaled.
    pub window: u16,
    /// Options.
    pub options: TcpOptions,
    /// The rule that dropped it, by its slot.
    pub dropped_by: Option<u8>,
}

impl SegmentEvent {
    /// Whether it closes the window of its sender. The window of a reset means nothing (RFC 9293, section 3.10.7).
    #[must_use]
    pub const fn closes_window(&self) -> bool {
        self.window == 0 && !self.flags.has(TcpFlags::RST)
    }
}

/// A segment on a link belongs to no socket.
impl Shown for SegmentEvent {
    const NAME: &'static str = "segment";

    fn at(&self) -> KernelTime {
        self.at
    }

    fn subject(&self) -> Subject {
        Subject::unknown(None, self.netns, self.ends)
    }

    fn touches(&self, _state: TcpState) -> bool {
        false
    }
}

/// The options of a TCP header that are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale.
    pub window_scale: Option<u8>,
    /// Selective acknowledgments are permitted.
    pub sack_permitted: bool,
    /// Timestamp value and echo reply.
    pub timestamps: Option<(u32, u32)>,
    /// Blocks of selective acknowledgments.
    pub sack_blocks: u8,
    /// A fast open cookie, or the request for one.
    pub fast_open: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_as_segments_are_called() {
        for (flags, name) in [
            (0x02, "SYN"),
            (0x12, "SYN+ACK"),
            (0x11, "FIN+ACK"),
            (0x18, "PSH+ACK"),
            (0x04, "RST"),
            (0xc2, "SYN+ECE+CWR"),
            (0xff, "SYN+FIN+RST+PSH+URG+ECE+CWR+ACK"),
            (0x00, "none"),
        ] {
            assert_eq!(TcpFlags(flags).to_string(), name, "{flags:#x}");
        }
    }
}
