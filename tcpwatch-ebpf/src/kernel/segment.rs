//! Segments: `struct sk_buff`, outgoing by its control block, incoming by its headers.

use aya_ebpf::programs::BtfTracePointContext;
use tcpwatch_common::retransmit::kind_flags;

use super::{Addresses, field, probe, unchecked_argument};
use crate::maps;

/// The flag SYN in a TCP header.
const SYN: u8 = 1 << 1;

/// `struct sk_buff *` as a tracepoint handed it to us.
#[derive(Clone, Copy)]
pub(crate) struct SkBuff(*const u8);

impl SkBuff {
    /// Argument `n` of a tracepoint whose type there is `struct sk_buff *`.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext, n: usize) -> Self {
        Self(ctx.arg::<*const u8>(n))
    }

    /// The same where it may be null: only for what is probed.
    #[inline(always)]
    pub(crate) fn unchecked(ctx: &BtfTracePointContext, n: u32) -> Self {
        Self(unchecked_argument(ctx, n))
    }

    /// TCP flags of an outgoing segment (`TCP_SKB_CB(skb)->tcp_flags`), as [`kind_flags`] has them.
    #[inline(always)]
    pub(crate) fn outgoing_flags(self) -> u8 {
        kind_flags(field(self.control(), &maps::TCB_FLAGS), field(self.0, &maps::SKB_LEN))
    }

    /// Sequence number of an outgoing segment (`TCP_SKB_CB(skb)->seq`).
    #[inline(always)]
    pub(crate) fn outgoing_seq(self) -> u32 {
        field(self.control(), &maps::TCB_SEQ)
    }

    /// The control block of an outgoing segment.
    #[inline(always)]
    fn control(self) -> *const u8 {
        // SAFETY: `cb` is a field of `struct sk_buff`, the type of the pointer.
        unsafe { self.0.add(maps::SKB_CB.load() as usize) }
    }

    /// Its address; never 0.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// Local and remote port of an incoming segment in host order; `None` if there is no segment.
    #[inline(always)]
    pub(crate) fn incoming_ports(self) -> Option<(u16, u16)> {
        let head: *const u8 = probe(self.0, maps::SKB_HEAD.load())?;
        let transport: u16 = probe(self.0, maps::SKB_TRANSPORT_HEADER.load())?;
        // Of the TCP header: source and destination port.
        let [remote, local]: [u16; 2] = probe(head, transport.into())?;
        Some((u16::from_be(local), u16::from_be(remote)))
    }

    /// Is it an incoming segment without SYN?
    #[inline(always)]
    pub(crate) fn comes_without_syn(self) -> bool {
        let head: Option<*const u8> = probe(self.0, maps::SKB_HEAD.load());
        let transport: Option<u16> = probe(self.0, maps::SKB_TRANSPORT_HEADER.load());
        let (Some(head), Some(transport)) = (head, transport) else { return false };
        // Of the TCP header: the byte of the flags.
        probe::<u8>(head, u32::from(transport) + 13).is_some_and(|flags| flags & SYN == 0)
    }

    /// Addresses of an incoming segment.
    #[inline(always)]
    pub(crate) fn incoming_addresses(self) -> Option<Addresses> {
        let head: *const u8 = probe(self.0, maps::SKB_HEAD.load())?;
        let network: u16 = probe(self.0, maps::SKB_NETWORK_HEADER.load())?;
        let version: u8 = probe(head, network.into())?;
        // Source and destination begin at byte 12 of an IPv4 header, at byte 8 of an IPv6 header.
        match version >> 4 {
            4 => {
                let [remote, local]: [[u32; 1]; 2] = probe(head, u32::from(network) + 12)?;
                Some(Addresses::V4 { local, remote })
            }
            6 => {
                let [remote, local]: [[u32; 4]; 2] = probe(head, u32::from(network) + 8)?;
                Some(Addresses::V6 { local, remote })
            }
            _ => None,
        }
    }

    /// Inode of the network namespace of the device that the segment came in by.
    #[inline(always)]
    pub(crate) fn netns(self) -> Option<u32> {
        let device: *const u8 = probe(self.0, maps::SKB_DEV.load())?;
        let net: *const u8 = probe(device, maps::NETDEV_NET.load())?;
        probe(net, maps::NS_INUM.load())
    }
}
