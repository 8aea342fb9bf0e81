//! Packets on a link, by their headers: Ethernet, IPv4 or IPv6, TCP.
//!
//! The bytes are copied by a helper, because a packet need not lie in one piece.

use aya_ebpf::programs::TcContext;
use tcpwatch_common::segment::OPTION_WORDS;

/// Bytes of an Ethernet header without a VLAN tag.
const ETHERNET: u32 = 14;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// Of the fragment field: how far from the packet's beginning.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Header of IPv4 (RFC 791, section 3.1); integers in network order.
#[derive(Clone, Copy)]
#[repr(C)]
struct Ipv4Header {
    version_and_words: u8,
    service: u8,
    total_length: u16,
    identification: u16,
    fragment: u16,
    time_to_live: u8,
    protocol: u8,
    checksum: u16,
    source: [u32; 1],
    destination: [u32; 1],
}

/// Header of IPv6 (RFC 8200, section 3); integers in network order.
#[derive(Clone, Copy)]
#[repr(C)]
struct Ipv6Header {
    version_and_flow: u32,
    payload_length: u16,
    next_header: u8,
    hop_limit: u8,
    source: [u32; 4],
    destination: [u32; 4],
}

/// Header of TCP (RFC 9293, section 3.1); integers in network order.
#[derive(Clone, Copy)]
#[repr(C)]
struct TcpFixed {
    source: u16,
    destination: u16,
    seq: u32,
    ack: u32,
    words: u8,
    flags: u8,
    window: u16,
    checksum: u16,
    urgent: u16,
}

/// Source and destination.
#[derive(Clone, Copy)]
pub(crate) enum Between {
    V4([u32; 1], [u32; 1]),
    V6([u32; 4], [u32; 4]),
}

/// The header of a segment, in host order.
#[derive(Clone, Copy)]
pub(crate) struct TcpHeader {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Where the options begin and end.
    options: (u32, u32),
}

/// A packet that holds a segment.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) between: Between,
    pub(crate) tcp: TcpHeader,
    /// Bytes of data.
    pub(crate) len: u32,
}

/// Index of the interface whose packet it is.
#[inline(always)]
pub(crate) fn interface(ctx: &TcContext) -> u32 {
    // SAFETY: the context is valid for as long as the program runs.
    unsafe { (*ctx.skb.skb).ifindex }
}

/// The value so many bytes from the beginning of the packet.
#[inline(always)]
fn load<T>(ctx: &TcContext, at: u32) -> Option<T> {
    ctx.load(at as usize).ok()
}

impl Packet {
    /// `None` for everything but a segment: other protocols, extension headers of IPv6, all fragments
    /// but the first, and what is cut short.
    #[inline(always)]
    pub(crate) fn read(ctx: &TcContext) -> Option<Self> {
        match u16::from_be(load(ctx, ETHERNET - 2)?) {
            0x0800 => Self::read_v4(ctx),
            0x86dd => Self::read_v6(ctx),
            _ => None,
        }
    }

    #[inline(always)]
    fn read_v4(ctx: &TcContext) -> Option<Self> {
        let header: Ipv4Header = load(ctx, ETHERNET)?;
        let follows = u16::from_be(header.fragment) & FRAGMENT_OFFSET != 0;
        if header.protocol != TCP || follows {
            return None;
        }
        let bytes = u32::from(header.version_and_words & 0xf) * 4;
        let payload = match u16::from_be(header.total_length) {
            // More than the field can count (`iph_set_totlen` in include/linux/ip.h).
            0 => ctx.len().wrapping_sub(ETHERNET).wrapping_sub(bytes),
            total => u32::from(total).wrapping_sub(bytes),
        };
        let between = Between::V4(header.source, header.destination);
        Self::read_tcp(ctx, between, ETHERNET + bytes, payload)
    }

    #[inline(always)]
    fn read_v6(ctx: &TcContext) -> Option<Self> {
        const BYTES: u32 = size_of::<Ipv6Header>() as u32;
        let header: Ipv6Header = load(ctx, ETHERNET)?;
        if header.next_header != TCP {
            return None;
        }
        let payload = match u16::from_be(header.payload_length) {
            0 => ctx.len().wrapping_sub(ETHERNET + BYTES),
            payload => u32::from(payload),
        };
        let between = Between::V6(header.source, header.destination);
        Self::read_tcp(ctx, between, ETHERNET + BYTES, payload)
    }

    #[inline(always)]
    fn read_tcp(ctx: &TcContext, between: Between, at: u32, payload: u32) -> Option<Self> {
        const FIXED: u32 = size_of::<TcpFixed>() as u32;
        let header: TcpFixed = load(ctx, at)?;
        let bytes = u32::from(header.words >> 4) * 4;
        if bytes < FIXED || bytes > payload {
            return None;
        }
        let tcp = TcpHeader {
            source: u16::from_be(header.source),
            destination: u16::from_be(header.destination),
            seq: u32::from_be(header.seq),
            ack: u32::from_be(header.ack),
            flags: header.flags,
            window: u16::from_be(header.window),
            options: (at + FIXED, at + bytes),
        };
        Some(Self { between, tcp, len: payload - bytes })
    }
}

impl TcpHeader {
    /// The options, and zeros behind them. Word by word: a length that the verifier of every kernel
    /// believes is hard to come by.
    #[inline(always)]
    pub(crate) fn options(&self, ctx: &TcContext) -> [[u8; 4]; OPTION_WORDS] {
        let mut options = [[0; 4]; OPTION_WORDS];
        let (mut at, end) = self.options;
        for word in &mut options {
            if at >= end {
                break;
            }
            // Behind what is cut short there is nothing: to go on would double the verifier's paths with
            // each word, too many for that of 6.1.
            let Some(loaded) = load(ctx, at) else { break };
            *word = loaded;
            at += 4;
        }
        options
    }
}
