//! Segments: `struct sk_buff`, outgoing by its control block, incoming by its headers.

use aya_ebpf::programs::BtfTracePointContext;

use super::{Addresses, field, probe};
use crate::maps;

/// `struct sk_buff *` as a tracepoint handed it to us.
#[derive(Clone, Copy)]
pub(crate) struct Segment(*const u8);

/// Both ends of the connection that an incoming segment belongs to, seen from this host.
pub(crate) struct Ends {
    pub(crate) ports: (u16, u16),
    pub(crate) addresses: Addresses,
}

impl Segment {
    /// Argument `n` of a tracepoint whose type there is `struct sk_buff *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg::<*const u8>(n))
    }

    /// TCP flags of an outgoing segment (`TCP_SKB_CB(skb)->tcp_flags`), the low byte of them.
    #[inline(always)]
    pub(crate) fn outgoing_flags(self) -> u8 {
        // SAFETY: `cb` is a field of `struct sk_buff`, the type of the pointer.
        let control = unsafe { self.0.add(maps::SKB_CB.load() as usize) };
        field(control, &maps::TCB_FLAGS)
    }

    /// The ends that an incoming segment names; `None` if there is no segment.
    #[inline(always)]
    pub(crate) fn incoming_ends(self) -> Option<Ends> {
        let head: *const u8 = probe(self.0, maps::SKB_HEAD.load())?;
        let network: u16 = probe(self.0, maps::SKB_NETWORK_HEADER.load())?;
        let transport: u16 = probe(self.0, maps::SKB_TRANSPORT_HEADER.load())?;
        // Of the TCP header: source and destination port.
        let [source, destination]: [u16; 2] = probe(head, transport.into())?;
        let ports = (u16::from_be(destination), u16::from_be(source));
        let version: u8 = probe(head, network.into())?;
        let addresses = match version >> 4 {
            // Of the IPv4 header: source and destination at byte 12, of the IPv6 header at byte 8.
            4 => {
                let [remote, local]: [[u32; 1]; 2] = probe(head, u32::from(network) + 12)?;
                Addresses::V4 { local, remote }
            }
            6 => {
                let [remote, local]: [[u32; 4]; 2] = probe(head, u32::from(network) + 8)?;
                Addresses::V6 { local, remote }
            }
            _ => return None,
        };
        Some(Ends { ports, addresses })
    }

    /// Inode of the network namespace of the device that the segment came in by.
    #[inline(always)]
    pub(crate) fn netns(self) -> Option<u32> {
        let device: *const u8 = probe(self.0, maps::SKB_DEV.load())?;
        let net: *const u8 = probe(device, maps::NETDEV_NET.load())?;
        probe(net, maps::NS_INUM.load())
    }
}
