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
use tcpwatch_core::event::{Cookie, Endpoints, KernelTime, KnownSocket, Netns, Waiter};

use super::{
    Detail,
    message::{self, AnswerProgress, Context, MessageError},
};
use crate::{clock, probe::filters::FamilyFilter};

/// Room for one datagram. The kernel fills no more than 32 KiB at a time, however much room it is
/// given (`netlink_recvmsg`, `net/netlink/af_netlink.c`).
const ROOM: usize = 64 * 1024;

/// A list that changes under the kernel's hands is asked for this often.
pub(super) const TRIES: u32 = 5;

/// The number of the first question that is asked through a socket.
const SEQUENCE: u32 = 1;

/// Each has a list of its own.
pub(super) const FAMILIES: [FamilyFilter; 2] = [FamilyFilter::V4, FamilyFilter::V6];

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
pub(super) fn dump(
    netns: Netns,
    detail: Detail,
    into: &mut Vec<KnownSocket>,
) -> Result<(), DumpError> {
    let mut lister = Lister { detail, ..Lister::new(netns)? };
    FAMILIES.into_iter().try_for_each(|family| lister.list(family, into))
}

/// Lists the TCP sockets that listen in the calling thread's network namespace, which is `netns`; one that
/// comes or goes meanwhile may be missing.
pub(super) fn listeners(netns: Netns, into: &mut Vec<KnownSocket>) -> Result<(), DumpError> {
    list_once((StateFlags::LISTEN, ExtensionFlags::empty()), netns, message::read, into)
}

/// Lists the sockets in these states of the calling thread's network namespace, which is `netns`, in detail; one that
/// comes or goes meanwhile may be missing.
pub(super) fn waiters_in(
    netns: Netns,
    states: StateFlags,
    into: &mut Vec<Waiter>,
) -> Result<(), DumpError> {
    list_once((states, ExtensionFlags::INFO), netns, message::read_waiters, into)
}

fn list_once<T>(
    (states, extensions): (StateFlags, ExtensionFlags),
    netns: Netns,
    read: ReadDatagram<T>,
    into: &mut Vec<T>,
) -> Result<(), DumpError> {
    let mut asking = Asking::open()?;
    for family in FAMILIES {
        asking.ask(
            all_in(family, states.clone(), extensions.clone()),
            |datagram, seen, sequence| Ok(read(datagram, Context { netns, seen, sequence }, into)?),
        )?;
    }
    Ok(())
}

/// Lists the TCP sockets of the calling thread's network namespace, which is `netns`, with timers and queues.
///
/// On an error the sockets found so far stay in `into`.
pub(super) fn dump_waiters(netns: Netns, into: &mut Vec<Waiter>) -> Result<(), DumpError> {
    let mut asking = Asking::open()?;
    FAMILIES.into_iter().try_for_each(|family| {
        let everything = all_in(family, StateFlags::all(), ExtensionFlags::INFO);
        asking.ask_whole(&everything, netns, message::read_waiters, into)
    })
}

/// Hands every TCP socket of the calling thread's network namespace, which is `netns`, to `visit`, in detail; one that
/// comes or goes meanwhile may be missing, or be met twice.
pub(super) fn waiters(netns: Netns, mut visit: impl FnMut(&Waiter)) -> Result<(), DumpError> {
    let mut asking = Asking::open()?;
    let mut piece = Vec::new();
    for family in FAMILIES {
        let question = all_in(family, StateFlags::all(), ExtensionFlags::INFO);
        asking.ask(question, |datagram, seen, sequence| {
            piece.clear();
            let context = Context { netns, seen, sequence };
            let progress = message::read_waiters(datagram, context, &mut piece)?;
            piece.iter().for_each(&mut visit);
            Ok(progress)
        })?;
    }
    Ok(())
}

/// Reads one datagram of sockets.
type ReadDatagram<T> = fn(&[u8], Context, &mut Vec<T>) -> Result<AnswerProgress, MessageError>;

/// A socket through which one question after the other is asked.
#[derive(Debug)]
pub(super) struct Asking {
    socket: Socket,
    /// Of the next question.
    sequence: u32,
    datagram: Vec<u8>,
}

impl Asking {
    pub(super) fn open() -> Result<Self, DumpError> {
        Ok(Self { socket: open()?, sequence: SEQUENCE, datagram: Vec::with_capacity(ROOM) })
    }

    fn next(&mut self) -> u32 {
        let next = self.sequence.wrapping_add(1);
        std::mem::replace(&mut self.sequence, next)
    }

    /// Frees the room for answers until the next question.
    pub(super) fn rest(&mut self) {
        self.datagram = Vec::new();
    }

    /// Asks for a list and hands every piece of it to `read` with the moment before it came and the number of the
    /// question; `false` if the list may lack some.
    pub(super) fn ask(
        &mut self,
        question: InetRequest,
        mut read: impl FnMut(&[u8], KernelTime, u32) -> Result<AnswerProgress, DumpError>,
    ) -> Result<bool, DumpError> {
        let sequence = self.next();
        let bytes = self::question(NLM_F_DUMP, sequence, question);
        self.socket.send(&bytes, 0).map_err(DumpError::Ask)?;
        let mut whole = true;
        self.datagram.reserve(ROOM);
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
            let progress = read(&self.datagram, seen, sequence)?;
            whole &= !progress.interrupted;
            if progress.done {
                return Ok(whole);
            }
        }
    }

    /// Asks for a list of what is in `netns` until it has come undisturbed.
    ///
    /// On an error what was found so far stays in `into`.
    fn ask_whole<T>(
        &mut self,
        question: &InetRequest,
        netns: Netns,
        read: ReadDatagram<T>,
        into: &mut Vec<T>,
    ) -> Result<(), DumpError> {
        let mut tries = 1;
        let before = into.len();
        loop {
            let whole = self.ask(question.clone(), |datagram, seen, sequence| {
                Ok(read(datagram, Context { netns, seen, sequence }, into)?)
            })?;
            if whole {
                return Ok(());
            }
            if tries == TRIES {
                return Err(DumpError::Interrupted { tries });
            }
            tries += 1;
            into.truncate(before);
        }
    }
}

/// Lists the TCP sockets of one network namespace, as often as it is asked to.
#[derive(Debug)]
pub struct Lister {
    asking: Asking,
    netns: Netns,
    detail: Detail,
}

impl Lister {
    /// Opens the way to the kernel; the calling thread must be inside `netns`.
    pub fn new(netns: Netns) -> Result<Self, DumpError> {
        Ok(Self { asking: Asking::open()?, netns, detail: Detail::Plain })
    }

    /// Lists the sockets of one family, from whichever thread.
    ///
    /// On an error the sockets found so far stay in `into`.
    pub fn list(
        &mut self,
        family: FamilyFilter,
        into: &mut Vec<KnownSocket>,
    ) -> Result<(), DumpError> {
        let everything = all_in(family, StateFlags::all(), self.detail.extensions());
        self.asking.ask_whole(&everything, self.netns, message::read, into)
    }

    /// Has the kernel end a socket at once, whoever has it or has let go of it. It does so before
    /// this returns; not every kernel can (`CONFIG_INET_DIAG_DESTROY`; orphans since 6.12), and
    /// whether it did shows in the next list.
    pub fn destroy(&mut self, known: &KnownSocket) -> Result<(), DumpError> {
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
                cookie: cookie(known.socket),
            },
        };
        let sequence = self.asking.next();
        let message = SockDiagDestroy::new(SockDiagMessage::InetRequest(request));
        let bytes = bytes(0, sequence, message);
        self.asking.socket.send(&bytes, 0).map(drop).map_err(DumpError::Ask)
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
pub(super) fn all_in(
    family: FamilyFilter,
    states: StateFlags,
    extensions: ExtensionFlags,
) -> InetRequest {
    let family = match family {
        FamilyFilter::V4 => AF_INET,
        FamilyFilter::V6 => AF_INET6,
    };
    let socket_id = SocketId::new_v4();
    InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id }
}

/// A cookie in a question: two words, the low one first, each in host order (`sock_diag_check_cookie`,
/// `net/core/sock_diag.c`).
pub(super) const fn cookie(socket: Cookie) -> [u8; 8] {
    let number = socket.0;
    let number = if cfg!(target_endian = "big") { number.rotate_left(32) } else { number };
    number.to_ne_bytes()
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
