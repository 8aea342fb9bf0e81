//! An IPv4 address as text, without the formatting machinery.

use std::net::Ipv4Addr;

use super::padded::Padded;

/// Appends `192.0.2.1`.
pub(super) fn write_dotted(address: Ipv4Addr, out: &mut Vec<u8>) {
    for octet in address.octets() {
        with_dot(octet).append(out);
    }
    out.pop();
}

/// The digits of an octet and a dot.
const fn with_dot(octet: u8) -> Padded<4> {
    let (hundreds, tens, ones) = (b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10);
    match octet {
        0..10 => Padded { text: [ones, b'.', 0, 0], length: 2 },
        10..100 => Padded { text: [tens, ones, b'.', 0], length: 3 },
        100.. => Padded { text: [hundreds, tens, ones, b'.'], length: 4 },
    }
}
