//! An IPv4 address as text, without the formatting machinery.

use std::net::Ipv4Addr;

/// Appends `192.0.2.1`.
pub(super) fn write_dotted(address: Ipv4Addr, out: &mut Vec<u8>) {
    for octet in address.octets() {
        // Four bytes are copied at once, and what is too much is cut off again: a copy whose length is
        // known is one instruction.
        let (text, length) = with_dot(octet);
        let end = out.len() + length;
        out.extend_from_slice(&text);
        out.truncate(end);
    }
    out.pop();
}

/// The digits of an octet and a dot, and how many bytes these are.
const fn with_dot(octet: u8) -> ([u8; 4], usize) {
    let (hundreds, tens, ones) = (b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10);
    match octet {
        0..10 => ([ones, b'.', 0, 0], 2),
        10..100 => ([tens, ones, b'.', 0], 3),
        100.. => ([hundreds, tens, ones, b'.'], 4),
    }
}
