//! An IPv4 address as text, without the formatting machinery.

use std::net::Ipv4Addr;

/// Appends `192.0.2.1`.
pub(super) fn write_dotted(address: Ipv4Addr, out: &mut Vec<u8>) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
    }
}
