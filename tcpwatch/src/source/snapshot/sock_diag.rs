//! The question to the kernel and its answer: which TCP sockets does this network namespace have?

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_sock_diag::{
    SockDiagDestroy, SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

use super::message::{self, Context, MessageError};
use crate::{
    event::{Endpoints, KnownSocket, Netns},
    source::clock,
};

/// Room for one datagram. The kernel fills no more than 32 KiB at a time, however much room it is
/// given (`netlink_recvmsg`, `net/netlink/af_netlink.c`).
const ROOM: usize = 64 * 1024;

/// A list that changes under the kernel's hands is asked for this often.
const TRIES: u32 = 5;

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
    let mut lister = Lister::new(netns)?;
    lister.list(AF_INET, into)?;
    lister.list(AF_INET6, into)
}

/// Lists the TCP sockets of one network namespace, as often as it is asked to.
#[derive(Debug)]
pub(crate) struct Lister {
    socket: Socket,
    netns: Netns,
    sequence: u32,
    datagram: Vec<u8>,
}

impl Lister {
    /// Opens the way to the kernel; the calling thread must be inside `netns`.
    pub(crate) fn new(netns: Netns) -> Result<Self, DumpError> {
        Ok(Self { socket: open()?, netns, sequence: 0, datagram: Vec::with_capacity(ROOM) })
    }

    /// Lists the sockets of one family, from whichever thread.
    ///
    /// On an error the sockets found so far stay in `into`.
    pub(crate) fn list(
        &mut self,
        family: u8,
        into: &mut Vec<KnownSocket>,
    ) -> Result<(), DumpError> {
        let mut tries = 1;
        let before = into.len();
        while !self.list_once(family, into)? {
            if tries == TRIES {
                return Err(DumpError::Interrupted { tries });
            }
            tries += 1;
            into.truncate(before);
        }
        Ok(())
    }

    /// Has the kernel end a socket at once, whoever has it or has let go of it. It does so before
    /// this returns; not every kernel can (`CONFIG_INET_DIAG_DESTROY`; orphans since 6.12), and
    /// whether it did shows in the next list.
    pub(crate) fn destroy(&mut self, known: &KnownSocket) -> Result<(), DumpError> {
        let words = known.socket.0;
        let words = if cfg!(target_endian = "big") { words.rotate_left(32) } else { words };
        let KnownSocket { ends: Endpoints { local, remote }, .. } = known;
        let request = InetRequest {
            family: if local.address.is_ipv4() { AF_INET } else { AF_INET6 },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::empty(), // plays no part where a single socket is meant
            socket_id: SocketId {
                source_port: local.port,
                destination_port: remote.port,
                source_address: local.address,
                destination_address: remote.address,
                interface_id: 0,
                cookie: words.to_ne_bytes(),
            },
        };
        self.sequence = self.sequence.wrapping_add(1);
        let message = SockDiagDestroy::new(SockDiagMessage::InetRequest(request));
        let bytes = bytes(0, self.sequence, message);
        self.socket.send(&bytes, 0).map(drop).map_err(DumpError::Ask)
    }

    /// `false` if the list may lack some.
    fn list_once(&mut self, family: u8, into: &mut Vec<KnownSocket>) -> Result<bool, DumpError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&everything(family, self.sequence), 0).map_err(DumpError::Ask)?;
        let mut whole = true;
        loop {
            self.datagram.clear();
            let seen = clock::now();
            let got = match self.socket.recv(&mut self.datagram, libc::MSG_TRUNC) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    whole = false;
                    continue;
                }
                Err(error) => return Err(DumpError::Receive(error)),
            };
            if got > self.datagram.len() {
                return Err(DumpError::TooLong { got });
            }
            let context = Context { netns: self.netns, seen, sequence: self.sequence };
            let progress = message::read(&self.datagram, context, into)?;
            whole &= !progress.interrupted;
            if progress.done {
                return Ok(whole);
            }
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

/// A `struct inet_diag_req_v2` for all eleven states, without attributes. The bit of `SYN_RECV`
/// stands for request sockets too (`inet_diag_dump_icsk`, `net/ipv4/inet_diag.c`); a timewait
/// mini-socket is chosen by its substate.
fn everything(family: u8, sequence: u32) -> Vec<u8> {
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId::new_v4(),
    };
    question(NLM_F_DUMP, sequence, request)
}

/// The bytes of a question, with `flags` besides `NLM_F_REQUEST`.
pub(super) fn question(flags: u16, sequence: u32, request: InetRequest) -> Vec<u8> {
    bytes(flags, sequence, SockDiagMessage::InetRequest(request))
}

fn bytes<T: NetlinkSerializable>(flags: u16, sequence: u32, message: T) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}
