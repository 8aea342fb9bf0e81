//! The question to the kernel and its answer: which TCP sockets does this network namespace have?

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

use super::message::{self, Context, MessageError, Progress};
use crate::{
    event::{KernelTime, KnownSocket, Netns},
    source::clock,
};

/// Room for one datagram. The kernel fills no more than 32 KiB at a time, however much room it is
/// given (`netlink_recvmsg`, `net/netlink/af_netlink.c`).
const ROOM: usize = 64 * 1024;

/// A list that changes under the kernel's hands is asked for this often.
pub(super) const TRIES: u32 = 5;

/// Each question has a socket of its own, so one number does for all.
pub(super) const SEQUENCE: u32 = 1;

/// Each has a list of its own.
pub(super) const FAMILIES: [u8; 2] = [AF_INET, AF_INET6];

/// The sockets of a namespace could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The kernel has no such netlink family, or refuses it.
    #[error(
        "cannot open a NETLINK_SOCK_DIAG socket: {0}; the kernel needs CONFIG_INET_DIAG and \
         CONFIG_INET_TCP_DIAG (modules inet_diag and tcp_diag)"
    )]
    Open(#[source] io::Error),
    /// The question could not be sent.
    #[error("cannot ask the kernel for its TCP sockets: {0}")]
    Ask(#[source] io::Error),
    /// The answer could not be received.
    #[error("cannot receive the kernel's list of TCP sockets: {0}")]
    Receive(#[source] io::Error),
    /// The answer is longer than the kernel should make it.
    #[error("the kernel's list of TCP sockets comes in pieces of {got} bytes, {ROOM} are expected")]
    TooLong {
        /// Size of the datagram, in bytes.
        got: usize,
    },
    /// The answer is no list of sockets.
    #[error("cannot list TCP sockets: {0}")]
    Answer(#[from] MessageError),
    /// The kernel never came to an end undisturbed.
    #[error(
        "the list of TCP sockets changed while it was read, {tries} times in a row; it may lack some"
    )]
    Interrupted {
        /// How often it was asked for.
        tries: u32,
    },
}

/// Lists the TCP sockets of the calling thread's network namespace, which is `netns`.
///
/// On an error the sockets found so far stay in `into`.
pub(super) fn dump(netns: Netns, into: &mut Vec<KnownSocket>) -> Result<(), DumpError> {
    for family in FAMILIES {
        let mut tries = 1;
        let before = into.len();
        while !dump_family(family, netns, into)? {
            if tries == TRIES {
                return Err(DumpError::Interrupted { tries });
            }
            tries += 1;
            into.truncate(before);
        }
    }
    Ok(())
}

/// Lists the sockets of one family; `false` if the list may lack some.
fn dump_family(family: u8, netns: Netns, into: &mut Vec<KnownSocket>) -> Result<bool, DumpError> {
    let everything = all_in(family, StateFlags::all(), ExtensionFlags::empty());
    dump_answer(everything, |datagram, seen| {
        let context = Context { netns, seen, sequence: SEQUENCE };
        Ok(message::read(datagram, context, into)?)
    })
}

/// Asks for a list and hands every piece of it to `read` with the moment before it came; `false` if
/// the list may lack some.
pub(super) fn dump_answer(
    question: InetRequest,
    mut read: impl FnMut(&[u8], KernelTime) -> Result<Progress, DumpError>,
) -> Result<bool, DumpError> {
    let socket = open()?;
    let bytes = self::question(NLM_F_DUMP, SEQUENCE, question);
    socket.send(&bytes, 0).map_err(DumpError::Ask)?;

    let mut datagram = Vec::with_capacity(ROOM);
    let mut whole = true;
    loop {
        datagram.clear();
        let seen = clock::now();
        let got = match socket.recv(&mut datagram, libc::MSG_TRUNC) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(false),
            Err(error) => return Err(DumpError::Receive(error)),
        };
        if got > datagram.len() {
            return Err(DumpError::TooLong { got });
        }
        let progress = read(&datagram, seen)?;
        whole &= !progress.interrupted;
        if progress.done {
            return Ok(whole);
        }
    }
}

/// A netlink socket that leads to the kernel alone, and into the network namespace that the
/// calling thread is in now.
pub(super) fn open() -> Result<Socket, DumpError> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG).map_err(DumpError::Open)?;
    socket.bind_auto().map_err(DumpError::Open)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(DumpError::Open)?;
    Ok(socket)
}

/// A `struct inet_diag_req_v2` for the sockets of a family in these states. The bit of `SYN_RECV`
/// stands for request sockets too (`inet_diag_dump_icsk`, `net/ipv4/inet_diag.c`); a timewait
/// mini-socket is chosen by its substate.
pub(super) fn all_in(family: u8, states: StateFlags, extensions: ExtensionFlags) -> InetRequest {
    let socket_id = SocketId::new_v4();
    InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id }
}

/// The bytes of a question, with `flags` besides `NLM_F_REQUEST`.
pub(super) fn question(flags: u16, sequence: u32, request: InetRequest) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}
