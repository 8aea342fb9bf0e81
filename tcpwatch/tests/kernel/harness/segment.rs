//! Captures segments, and sends segments that an unusual peer would send. IPv4 only.

use std::{
    io::{self, Read as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;
/// Bytes of a TCP header without options, and the protocol's number.
const HEADER: u16 = 20;
const TCP: u16 = 6;

/// The fields of a segment that the tests use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
}

/// Captures every segment that arrives in the namespace where it was made, and can send segments.
pub(crate) struct Wire(Socket);

impl Wire {
    /// For the calling thread's namespace.
    pub(crate) fn tap() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// The FIN that came from `from`, which had sent no data.
    pub(crate) fn fin_from(&self, from: SocketAddr) -> Segment {
        let mut packet = [0; 2048];
        loop {
            let length = match (&self.0).read(&mut packet) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("no FIN came"),
                Err(error) => panic!("{error}"),
            };
            let segment = Segment::parse(&packet[..length]);
            if SocketAddr::V4(segment.from) == from && segment.flags & FIN != 0 {
                return segment;
            }
        }
    }

    /// Sends it as its sender would.
    pub(crate) fn send(&self, segment: Segment) {
        let to = SocketAddrV4::new(*segment.to.ip(), 0);
        self.0.bind(&SockAddr::from(SocketAddrV4::new(*segment.from.ip(), 0))).unwrap();
        let bytes = segment.bytes();
        assert_eq!(self.0.send_to(&bytes, &to.into()).unwrap(), bytes.len());
    }
}

impl Segment {
    fn parse(packet: &[u8]) -> Self {
        let tcp = &packet[usize::from(packet[0] & 0xf) * 4..];
        let address = |at: usize| {
            let octets: [u8; 4] = packet[at..at + 4].try_into().unwrap();
            Ipv4Addr::from(octets)
        };
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        Self {
            from: SocketAddrV4::new(address(12), port(0)),
            to: SocketAddrV4::new(address(16), port(2)),
            seq: number(4),
            ack: number(8),
            flags: tcp[13],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.from.port().to_be_bytes());
        bytes.extend(self.to.port().to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        // Header of five words, flags, window, checksum, urgent pointer.
        bytes.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        let sum = self.checksum(&bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// RFC 9293, section 3.1, with the pseudo header.
    fn checksum(&self, bytes: &[u8]) -> u16 {
        let octets = [self.from.ip().octets(), self.to.ip().octets()].concat();
        let words = octets.chunks(2).chain(bytes.chunks(2));
        let words = words.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let mut sum: u32 = words.sum::<u32>() + u32::from(TCP) + u32::from(HEADER);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }
}
