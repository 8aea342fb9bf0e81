//! The link between the two hosts: a veth pair, each end made in its host's network namespace, with addresses and with
//! static neighbour entries for each other.

use std::{
    net::{IpAddr, Ipv6Addr},
    os::fd::{AsRawFd as _, BorrowedFd},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use netlink_packet_route::{
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags},
    link::{InfoData, InfoVeth, LinkAttribute, LinkMessage, State},
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};
use tcpwatch_kernel::probe::filters::FamilyFilter;

use super::error::HostsError;
use crate::host::Host;

/// The name of a host's interface.
pub const LINK: &str = "lab0";

/// `ifindex` of the loopback link in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// Coming up takes microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end of the veth pair.
pub(super) struct LinkEnd {
    pub(super) host: Host,
    /// A netlink socket in the host's network namespace.
    pub(super) route: Handle,
    /// The interface's index.
    pub(super) ifindex: u32,
}

/// Joins two hosts and waits until segments pass.
pub(super) async fn join(
    client: &LinkEnd,
    server: &LinkEnd,
    server_netns: BorrowedFd<'_>,
    family: FamilyFilter,
) -> Result<(), HostsError> {
    client.make(server, server_netns).await?;
    for end in [client, server] {
        end.set_up(family).await?;
    }
    for end in [client, server] {
        end.wait_until_up().await?;
    }
    Ok(())
}

impl LinkEnd {
    fn failed(&self, what: &'static str) -> impl FnOnce(rtnetlink::Error) -> HostsError {
        let host = self.host;
        move |source| match refused(&source) {
            Some(number @ (libc::EPERM | libc::EACCES)) => HostsError::LinkRefused {
                host,
                what,
                source: std::io::Error::from_raw_os_error(number),
            },
            _ => HostsError::Link { host, what, source },
        }
    }

    async fn make(&self, peer: &Self, peer_netns: BorrowedFd<'_>) -> Result<(), HostsError> {
        let other = LinkMessageBuilder::<LinkUnspec>::new()
            .name(LINK)
            .index(peer.ifindex)
            .address(hardware_address(peer.host))
            .append_extra_attribute(LinkAttribute::NetNsFd(peer_netns.as_raw_fd()))
            .build();
        let pair = LinkVeth::new(LINK, LINK)
            .index(self.ifindex)
            .address(hardware_address(self.host))
            .set_info_data(InfoData::Veth(InfoVeth::Peer(other)))
            .build();
        self.route.link().add(pair).execute().await.map_err(|source| match refused(&source) {
            Some(libc::EOPNOTSUPP) => HostsError::NoVeth(source),
            _ => self.failed("make a pair of links")(source),
        })
    }

    async fn set_up(&self, family: FamilyFilter) -> Result<(), HostsError> {
        let address = self.host.address(family);
        let prefix = if address.is_ipv4() { 24 } else { 64 };
        let mut request = self.route.address().add(self.ifindex, address, prefix);
        if address.is_ipv6() {
            // The address is valid at once, without duplicate address detection.
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        request.execute().await.map_err(self.failed("add the address"))?;
        for ifindex in [LOOPBACK, self.ifindex] {
            let up = LinkUnspec::new_with_index(ifindex).up().build();
            let done = self.route.link().set(up).execute().await;
            done.map_err(self.failed("bring up a link"))?;
        }
        let peer = self.host.peer();
        let neighbour = self.route.neighbours().add(self.ifindex, peer.address(family));
        let neighbour = neighbour.link_layer_address(&hardware_address(peer));
        neighbour.execute().await.map_err(self.failed("add the neighbour"))
    }

    /// A link whose other end comes up later starts to work a little after that (`linkwatch_do_dev`,
    /// `net/core/link_watch.c`); segments sent before are lost.
    async fn wait_until_up(&self) -> Result<(), HostsError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut links = self.route.link().get().match_index(self.ifindex).execute();
            let link = links.try_next().await.map_err(self.failed("look at the link"))?;
            if link.as_ref().is_some_and(passes) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seconds = PATIENCE.as_secs();
                return Err(HostsError::LinkStaysDown { host: self.host, seconds });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn passes(link: &LinkMessage) -> bool {
    let has = |wanted: fn(&LinkAttribute) -> bool| link.attributes.iter().any(wanted);
    has(|about| matches!(about, LinkAttribute::OperState(State::Up)))
        && !has(|about| matches!(about, LinkAttribute::Qdisc(name) if name == "noop"))
}

/// Locally administered; its last octets are those of the host's IPv4 address.
fn hardware_address(host: Host) -> Vec<u8> {
    let mut octets = vec![2, 0];
    match host.address(FamilyFilter::V4) {
        IpAddr::V4(address) => octets.extend(address.octets()),
        IpAddr::V6(_) => octets.extend(Ipv6Addr::UNSPECIFIED.octets().into_iter().take(4)),
    }
    octets
}

/// The error number with which the kernel refused a request, positive.
fn refused(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}
