//! From the bytes of a `sock_diag` answer to sockets: no I/O.

mod waiter;

use std::{io, time::Duration};

use netlink_packet_core::{
    DecodeError, NLM_F_DUMP_INTR, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NLMSG_OVERRUN, NetlinkBuffer, NlasIterator, Parseable,
};
use netlink_packet_sock_diag::{
    constants::{INET_DIAG_INFO, INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO, SOCK_DIAG_BY_FAMILY},
    inet::{InetResponseBuffer, InetResponseHeader, SocketId, SocketIdBuffer, Timer},
};
use tcpwatch_core::event::{CgroupId, Cookie, Endpoint, Endpoints, KernelTime, Netns, TcpState};
use tcpwatch_core::event::{KnownKind, KnownSocket, TcpInfo};

pub(super) use waiter::read as read_waiters;

/// `sizeof(struct inet_diag_msg)` (`include/uapi/linux/inet_diag.h`).
const MESSAGE: usize = size_of::<InetResponseBuffer>();

/// Where `idiag_expires` begins: it and the four words behind it (`idiag_rqueue`, `idiag_wqueue`,
/// `idiag_uid`, `idiag_inode`) end the struct.
const EXPIRES: usize = MESSAGE - 5 * size_of::<u32>();
const _: () = assert!(
    EXPIRES == 4 + size_of::<SocketIdBuffer>(),
    "idiag_expires follows four bytes (family, state, timer, retrans) and struct inet_diag_sockid"
);

/// The attribute with a socket's cgroup: the inode of its directory in the second hierarchy, since
/// 5.9 (`include/uapi/linux/inet_diag.h`).
const INET_DIAG_CGROUP_ID: u16 = 21;

/// Where `tcpi_last_ack_recv`, in milliseconds, is in `struct tcp_info` (`include/uapi/linux/tcp.h`):
/// behind eight bytes and twelve words.
const LAST_ACK_RECEIVED: usize = 8 + 12 * size_of::<u32>();

/// Where the drops of a socket are among the words of `INET_DIAG_SKMEMINFO` (`include/uapi/linux/sock_diag.h`), since 4.7.
const DROPS: usize = SK_MEMINFO_DROPS * size_of::<u32>();
const SK_MEMINFO_DROPS: usize = 8;

/// An answer that is no list of sockets.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The kernel refused, or gave up in the middle.
    #[error("the kernel refused: {0}")]
    Refused(io::Error),
    /// The kernel lost messages on the way (`NLMSG_OVERRUN`).
    #[error("the kernel lost a part of its answer")]
    Overrun,
    /// Bytes that are not what `include/uapi/linux/inet_diag.h` describes.
    #[error("the kernel's answer makes no sense: {0}")]
    Malformed(#[from] DecodeError),
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AnswerProgress {
    /// That was the end.
    pub(super) done: bool,
    /// The kernel says that the list changed under its hands (`NLM_F_DUMP_INTR`).
    pub(super) interrupted: bool,
}

/// Where and when an answer was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// The namespace that was asked.
    pub(super) netns: Netns,
    /// The moment of the answer.
    pub(super) seen: KernelTime,
    /// Sequence number of the question; other messages are not meant for it.
    pub(super) sequence: u32,
}

/// Reads one datagram of sockets.
pub(super) fn read(
    datagram: &[u8],
    context: Context,
    into: &mut Vec<KnownSocket>,
) -> Result<AnswerProgress, MessageError> {
    each(datagram, context.sequence, |payload| {
        into.push(socket(payload, context)?);
        Ok(())
    })
}

/// Reads one datagram: any number of netlink messages, each padded to four bytes. Hands the payload
/// of those that hand a socket to `visit`.
pub(super) fn each(
    mut datagram: &[u8],
    sequence: u32,
    mut visit: impl FnMut(&[u8]) -> Result<(), MessageError>,
) -> Result<AnswerProgress, MessageError> {
    let mut progress = AnswerProgress::default();
    while !datagram.is_empty() && !progress.done {
        let message = NetlinkBuffer::new_checked(datagram)?;
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        let padded = length.next_multiple_of(usize::from(NLMSG_ALIGNTO));
        datagram = datagram.get(padded..).unwrap_or_default();
        if message.sequence_number() != sequence {
            continue;
        }
        progress.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
        match message.message_type() {
            SOCK_DIAG_BY_FAMILY => visit(message.payload())?,
            NLMSG_DONE | NLMSG_ERROR => {
                refusal(message.payload())?;
                progress.done = true;
            }
            NLMSG_OVERRUN => return Err(MessageError::Overrun),
            NLMSG_NOOP => {}
            other => {
                return Err(DecodeError::from(format!("message type {other}")).into());
            }
        }
    }
    Ok(progress)
}

/// Both `NLMSG_ERROR` and the `NLMSG_DONE` of a dump begin with an `int`: 0, or a negative errno
/// (`netlink_ack` and `netlink_dump_done`, `net/netlink/af_netlink.c`).
fn refusal(payload: &[u8]) -> Result<(), MessageError> {
    let code = word(payload, 0)?.cast_signed();
    if code == 0 {
        return Ok(());
    }
    Err(MessageError::Refused(io::Error::from_raw_os_error(code.saturating_neg())))
}

/// One `struct inet_diag_msg` and its attributes.
fn socket(payload: &[u8], context: Context) -> Result<KnownSocket, MessageError> {
    let header = InetResponseHeader::parse(payload)?;
    known(payload, &header, &attributes(payload)?, context)
}

fn known(
    payload: &[u8],
    header: &InetResponseHeader,
    attributes: &Attributes,
    context: Context,
) -> Result<KnownSocket, MessageError> {
    let state = TcpState::from_kernel(header.state);
    let kind = kind(header, state, || Ok(attributes.shutdown))?;
    let timer_left = match kind {
        KnownKind::TimeWait => Some(milliseconds(payload, EXPIRES)?),
        KnownKind::Full | KnownKind::Request => None,
    };
    Ok(KnownSocket {
        socket: cookie(header.socket_id.cookie),
        netns: context.netns,
        ends: ends(&header.socket_id),
        state,
        kind,
        timer_left,
        seen: context.seen,
        quiet: attributes.last_ack_received,
        queue_full: state == TcpState::Listen && header.recv_queue > header.send_queue,
        inode: header.inode,
        cgroup: attributes.cgroup.and_then(CgroupId::from_inode),
        owner: None,
    })
}

/// A socket in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Which socket.
    pub socket: Cookie,
    /// Its two ends; IPv4 in IPv6 is reported as IPv4.
    pub ends: Endpoints,
    /// Its state; of a timewait mini-socket the substate.
    pub state: TcpState,
    /// What the kernel keeps for it.
    pub kind: KnownKind,
    /// Of a listener the connections that wait for `accept`, otherwise bytes.
    pub receive_queue: u32,
    /// Of a listener the limit that `listen` set for those, otherwise bytes.
    pub send_queue: u32,
    /// Number of its cgroup in the second hierarchy; mini-sockets and kernels before 5.9 report none.
    pub cgroup: Option<u64>,
    /// How long ago the last acknowledgment came, in whole milliseconds, if [`Detail::Times`](super::Detail::Times) was
    /// asked for.
    pub last_ack_received: Option<Duration>,
    /// How long a timewait mini-socket still lives.
    pub time_left: Option<Duration>,
    /// Of a listener what it has dropped since it was made, modulo 2^32, if [`Detail::Drops`](super::Detail::Drops)
    /// was asked for: requests and completed handshakes (`tcp_listendrop`, `include/net/tcp.h`).
    pub drops: Option<u32>,
}

/// The same bytes in the form that a survey takes.
pub(super) fn surveyed(payload: &[u8]) -> Result<Surveyed, MessageError> {
    let header = InetResponseHeader::parse(payload)?;
    let state = TcpState::from_kernel(header.state);
    let attributes = attributes(payload)?;
    let kind = kind(&header, state, || Ok(attributes.shutdown))?;
    let is_waiting = kind == KnownKind::TimeWait;
    Ok(Surveyed {
        socket: cookie(header.socket_id.cookie),
        ends: ends(&header.socket_id),
        state,
        kind,
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        cgroup: attributes.cgroup,
        last_ack_received: attributes.last_ack_received,
        time_left: is_waiting.then(|| milliseconds(payload, EXPIRES)).transpose()?,
        drops: attributes.drops,
    })
}

/// Every full socket comes with `INET_DIAG_SHUTDOWN` (`inet_diag_msg_attrs_fill`,
/// `net/ipv4/inet_diag.c`), no request socket does (`inet_req_diag_fill`): it distinguishes a half-open
/// connection from a full socket in `SYN_RECV` (fast open, simultaneous open).
fn kind(
    header: &InetResponseHeader,
    state: TcpState,
    has_shutdown: impl FnOnce() -> Result<bool, MessageError>,
) -> Result<KnownKind, MessageError> {
    Ok(if header.timer == Some(Timer::TimeWait) {
        KnownKind::TimeWait
    } else if state == TcpState::SynRecv && !has_shutdown()? {
        KnownKind::Request
    } else {
        KnownKind::Full
    })
}

/// IPv4 in IPv6 is reported as IPv4.
fn ends(id: &SocketId) -> Endpoints {
    Endpoints {
        local: Endpoint { address: id.source_address.to_canonical(), port: id.source_port },
        remote: Endpoint {
            address: id.destination_address.to_canonical(),
            port: id.destination_port,
        },
    }
}

/// What follows `struct inet_diag_msg`.
#[derive(Default)]
struct Attributes {
    shutdown: bool,
    cgroup: Option<u64>,
    last_ack_received: Option<Duration>,
    tcp: Option<TcpInfo>,
    drops: Option<u32>,
}

fn attributes(payload: &[u8]) -> Result<Attributes, DecodeError> {
    let mut found = Attributes::default();
    for attribute in NlasIterator::new(payload.get(MESSAGE..).unwrap_or_default()) {
        let attribute = attribute?;
        let value = attribute.value();
        match attribute.kind() {
            INET_DIAG_SHUTDOWN => found.shutdown = true,
            INET_DIAG_CGROUP_ID => {
                found.cgroup = value.first_chunk().copied().map(u64::from_ne_bytes);
            }
            INET_DIAG_INFO => {
                found.last_ack_received = Some(milliseconds(value, LAST_ACK_RECEIVED)?);
                found.tcp = Some(waiter::tcp_info(value)?);
            }
            INET_DIAG_SKMEMINFO => found.drops = word(value, DROPS).ok(),
            _ => {}
        }
    }
    Ok(found)
}

/// Two words, the low one first, each in host order (`sock_diag_save_cookie`,
/// `net/core/sock_diag.c`).
fn cookie(words: [u8; 8]) -> Cookie {
    let number = u64::from_ne_bytes(words);
    Cookie(if cfg!(target_endian = "big") { number.rotate_left(32) } else { number })
}

/// A word that is a time.
fn milliseconds(bytes: &[u8], at: usize) -> Result<Duration, DecodeError> {
    word(bytes, at).map(|milliseconds| Duration::from_millis(u64::from(milliseconds)))
}

/// The word in host order that begins at `at`.
fn word(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    let word = word.ok_or_else(|| DecodeError::from(format!("{} bytes", bytes.len())))?;
    Ok(u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests;
