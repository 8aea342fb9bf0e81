//! The headers of a segment as bytes, rebuilt from what the laboratory's tap has kept of it.
//!
//! Flags, numbers, window and options are those of the segment; TTL, identification and DSCP are invented (64, 0, 0), and
//! its data are not there. Options whose content was not kept (SACK blocks, a fast open cookie) are left out.

use std::net::IpAddr;

use tcpwatch_core::event::{Endpoint, SegmentEvent, TcpFlags, TcpOptions, Way};

const TCP: u8 = 6;
const HOPS: u8 = 64;

/// The IP and TCP headers, and how long the whole packet was.
pub(super) fn headers(segment: &SegmentEvent) -> (Vec<u8>, u32) {
    let (from, to) = match segment.way {
        Way::Out => (segment.ends.local, segment.ends.remote),
        Way::In => (segment.ends.remote, segment.ends.local),
    };
    let mut tcp = tcp(segment, from, to);
    if segment.len == 0 {
        let sum = checksum(&[&pseudo(from.address, to.address, tcp.len()), &tcp]);
        put(&mut tcp, 16, sum);
    }
    let length = u32::try_from(tcp.len()).unwrap_or(u32::MAX).saturating_add(segment.len);
    let mut packet = ip(from.address, to.address, length);
    packet.extend_from_slice(&tcp);
    let all = u32::try_from(packet.len()).unwrap_or(u32::MAX).saturating_add(segment.len);
    (packet, all)
}

/// With a checksum of 0, which is right only where it is not checked.
fn tcp(segment: &SegmentEvent, from: Endpoint, to: Endpoint) -> Vec<u8> {
    let SegmentEvent { flags, seq, ack, window, .. } = *segment;
    let options = options(&segment.options, flags.has(TcpFlags::SYN));
    let words = u8::try_from(5 + options.len() / 4).unwrap_or(15);
    let mut tcp = Vec::new();
    tcp.extend_from_slice(&from.port.to_be_bytes());
    tcp.extend_from_slice(&to.port.to_be_bytes());
    tcp.extend_from_slice(&seq.to_be_bytes());
    tcp.extend_from_slice(&ack.to_be_bytes());
    tcp.extend_from_slice(&[words << 4, flags.0]);
    tcp.extend_from_slice(&window.to_be_bytes());
    tcp.extend_from_slice(&[0; 4]);
    tcp.extend_from_slice(&options);
    tcp
}

/// In the order in which Linux writes them (`tcp_options_write`, `net/ipv4/tcp_output.c`), padded with NOP.
fn options(options: &TcpOptions, is_syn: bool) -> Vec<u8> {
    const NOP: u8 = 1;
    let mut bytes = Vec::new();
    if let Some(mss) = options.mss {
        bytes.extend_from_slice(&[2, 4]);
        bytes.extend_from_slice(&mss.to_be_bytes());
    }
    if options.sack_permitted {
        bytes.extend_from_slice(&[4, 2]);
    }
    if let Some((value, echo)) = options.timestamps {
        if !(is_syn && options.sack_permitted) {
            bytes.extend_from_slice(&[NOP, NOP]);
        }
        bytes.extend_from_slice(&[8, 10]);
        bytes.extend_from_slice(&value.to_be_bytes());
        bytes.extend_from_slice(&echo.to_be_bytes());
    }
    if let Some(scale) = options.window_scale {
        bytes.extend_from_slice(&[NOP, 3, 3, scale]);
    }
    while !bytes.len().is_multiple_of(4) {
        bytes.push(NOP);
    }
    bytes
}

/// An IP header for this length of TCP header and data; lengths that do not fit are 0, as for what is cut below.
fn ip(from: IpAddr, to: IpAddr, length: u32) -> Vec<u8> {
    let mut ip = Vec::new();
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) {
        let length = u16::try_from(length.saturating_add(20)).unwrap_or(0);
        ip.extend_from_slice(&[0x45, 0]);
        ip.extend_from_slice(&length.to_be_bytes());
        // No identification; do not fragment; a checksum that follows.
        ip.extend_from_slice(&[0, 0, 0x40, 0, HOPS, TCP, 0, 0]);
        ip.extend_from_slice(&from.octets());
        ip.extend_from_slice(&to.octets());
        let sum = checksum(&[&ip]);
        put(&mut ip, 10, sum);
    } else {
        let length = u16::try_from(length).unwrap_or(0);
        ip.extend_from_slice(&[0x60, 0, 0, 0]);
        ip.extend_from_slice(&length.to_be_bytes());
        ip.extend_from_slice(&[TCP, HOPS]);
        ip.extend_from_slice(&octets(from));
        ip.extend_from_slice(&octets(to));
    }
    ip
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// What the checksum of TCP covers besides its header (RFC 9293, section 3.1).
fn pseudo(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(0).to_be_bytes();
    let mut pseudo = Vec::new();
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) {
        pseudo.extend_from_slice(&from.octets());
        pseudo.extend_from_slice(&to.octets());
    } else {
        pseudo.extend_from_slice(&octets(from));
        pseudo.extend_from_slice(&octets(to));
    }
    pseudo.extend_from_slice(&[0, TCP]);
    pseudo.extend_from_slice(&length);
    pseudo
}

/// The Internet checksum (RFC 1071) of parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let words = words.map(|word| match word {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high, ..] => u32::from(*high) << 8,
        [] => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn put(bytes: &mut [u8], at: usize, number: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_example_of_rfc_1071_is_right() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }

    #[test]
    fn options_stand_as_linux_writes_them() {
        let all = TcpOptions {
            mss: Some(1460),
            window_scale: Some(10),
            sack_permitted: true,
            timestamps: Some((1, 2)),
            ..TcpOptions::default()
        };
        let syn = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 10];
        assert_eq!(options(&all, true), syn);
        let later = TcpOptions { timestamps: Some((1, 2)), ..TcpOptions::default() };
        assert_eq!(options(&later, false), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
}
