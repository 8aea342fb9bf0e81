//! One netlink socket and the questions that go through it, one at a time.

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_sock_diag::{
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::Socket;
use tcpwatch_core::{
    event::{Cookie, Endpoints, Netns, Waiter},
    track::StayQuestion,
};

use super::{
    super::{
        DumpError, MessageError,
        message::{self, AnswerProgress, Context},
        sock_diag,
    },
    LookupAnswer, canonical_ends,
    interfaces::Interfaces,
};
use crate::clock;

/// Room for one answer, in bytes: `struct inet_diag_msg` and attributes, a few hundred at most.
const ROOM: usize = 8 * 1024;

/// `idiag_if` of a question that does not name an interface.
const ANYWHERE: u32 = 0;

/// A cookie that every socket has (`INET_DIAG_NOCOOKIE`, twice).
const ANY_COOKIE: [u8; 8] = [0xff; 8];

/// Nothing but `NLM_F_REQUEST`: a single socket is asked for, and there is one answer.
const SINGLE: u16 = 0;

/// A way to ask about the sockets of one network namespace.
#[derive(Debug)]
pub(super) struct Channel {
    socket: Socket,
    netns: Netns,
    /// Number of the last question; an answer with another one came too late.
    sequence: u32,
    datagram: Vec<u8>,
    /// What is asked for besides.
    extensions: ExtensionFlags,
    found: Vec<Waiter>,
}

impl Channel {
    /// To the calling thread's network namespace, which is `netns`; it stays there when the
    /// thread goes elsewhere.
    pub(super) fn open(netns: Netns) -> Result<Self, DumpError> {
        let socket = sock_diag::open()?;
        let datagram = Vec::with_capacity(ROOM);
        let extensions = ExtensionFlags::empty();
        Ok(Self { socket, netns, sequence: 0, datagram, extensions, found: Vec::new() })
    }

    pub(super) const fn netns(&self) -> Netns {
        self.netns
    }

    /// Lists the sockets that are in no state at all: none, at no cost, but a kernel without
    /// `tcp_diag` refuses. Asked for a single socket it would say `ENOENT`, as if there were none
    /// (`inet_diag_cmd_exact`, `net/ipv4/inet_diag.c`).
    pub(super) fn check(&mut self) -> Result<(), DumpError> {
        self.send(NLM_F_DUMP, AF_INET, SocketId::new_v4())?;
        while !self.receive()?.done {}
        Ok(())
    }

    /// Asks all `questions`; the answers carry the same numbers.
    pub(super) fn ask_all(
        &mut self,
        questions: &[(usize, Endpoints)],
    ) -> Vec<(usize, LookupAnswer)> {
        let mut interfaces = Interfaces::default();
        let mut ask = |ends: &Endpoints| match self.find(ends, None, &mut interfaces) {
            FoundSocket::Is(waiter) => LookupAnswer::Is(waiter.known),
            FoundSocket::Gone => LookupAnswer::Gone,
            FoundSocket::Unknown => LookupAnswer::Unknown,
        };
        questions.iter().map(|(index, ends)| (*index, ask(ends))).collect()
    }

    /// Asks in detail about all of these that are found. A cookie leaves no doubt which socket is meant.
    pub(super) fn ask_in_detail(&mut self, questions: &[StayQuestion]) -> Vec<Waiter> {
        let mut interfaces = Interfaces::default();
        self.extensions = ExtensionFlags::INFO;
        let found = questions.iter().map(|question| {
            let ends = canonical_ends(question.ends);
            self.find(&ends, question.socket, &mut interfaces)
        });
        let found = found.filter_map(|found| match found {
            FoundSocket::Is(waiter) => Some(*waiter),
            FoundSocket::Gone | FoundSocket::Unknown => None,
        });
        let found = found.collect();
        self.extensions = ExtensionFlags::empty();
        found
    }

    /// A question without an interface does not find a socket that is bound to one
    /// (`inet_sk_bound_dev_eq`, `include/net/inet_sock.h`): by `SO_BINDTODEVICE`, in a VRF, or
    /// because its addresses are link-local.
    fn find(
        &mut self,
        ends: &Endpoints,
        socket: Option<Cookie>,
        interfaces: &mut Interfaces,
    ) -> FoundSocket {
        let found = self.find_on(ANYWHERE, ends, socket);
        if found != FoundSocket::Gone {
            return found;
        }
        let Some(interfaces) = interfaces.spend() else { return FoundSocket::Unknown };
        let mut found = interfaces.iter().map(|interface| self.find_on(*interface, ends, socket));
        found.find(|found| *found != FoundSocket::Gone).unwrap_or(FoundSocket::Gone)
    }

    fn find_on(&mut self, interface: u32, ends: &Endpoints, socket: Option<Cookie>) -> FoundSocket {
        let (family, mut id) = identify(ends, interface);
        id.cookie = socket.map_or(ANY_COOKIE, sock_diag::cookie);
        let answer = self.send(SINGLE, family, id).and_then(|()| self.answer());
        meaning(answer, ends)
    }

    /// The first socket or refusal that belongs to the last question.
    fn answer(&mut self) -> Result<Option<Waiter>, DumpError> {
        loop {
            let progress = self.receive()?;
            if progress.done || !self.found.is_empty() {
                return Ok(self.found.pop());
            }
        }
    }

    fn send(&mut self, flags: u16, family: u8, socket_id: SocketId) -> Result<(), DumpError> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: self.extensions.clone(),
            states: StateFlags::empty(), // plays no part where a single socket is asked for
            socket_id,
        };
        let bytes = sock_diag::question(flags, self.sequence, request);
        self.socket.send(&bytes, libc::MSG_DONTWAIT).map(drop).map_err(DumpError::Ask)
    }

    /// Takes one datagram that is there already: the kernel answers within `sendmsg`
    /// (`netlink_unicast_kernel`, `net/netlink/af_netlink.c`).
    fn receive(&mut self) -> Result<AnswerProgress, DumpError> {
        self.datagram.clear();
        self.found.clear();
        let context = Context { netns: self.netns, seen: clock::now(), sequence: self.sequence };
        let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
        let got = self.socket.recv(&mut self.datagram, flags).map_err(DumpError::Receive)?;
        if got > self.datagram.len() {
            return Err(DumpError::TooLong { got });
        }
        Ok(message::read_waiters(&self.datagram, context, &mut self.found)?)
    }
}

/// Names one socket. IPv4 in IPv6 needs no question of its own: the kernel looks for IPv4
/// addresses in sockets of both families, and for mapped ones as if they were IPv4
/// (`inet_match`, `include/net/inet_hashtables.h`; `inet_diag_find_one_icsk`,
/// `net/ipv4/inet_diag.c`).
fn identify(ends: &Endpoints, interface: u32) -> (u8, SocketId) {
    let Endpoints { local, remote } = ends;
    let family = if local.address.is_ipv4() { AF_INET } else { AF_INET6 };
    let id = SocketId {
        source_port: local.port,
        destination_port: remote.port,
        source_address: local.address,
        destination_address: remote.address,
        interface_id: interface,
        cookie: ANY_COOKIE,
    };
    (family, id)
}

/// What the kernel has for one question.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FoundSocket {
    Is(Box<Waiter>),
    /// No such socket.
    Gone,
    /// The kernel did not answer.
    Unknown,
}

/// Where the kernel finds no such connection it reports a listener that would take it
/// (`__inet_lookup`, `include/net/inet_hashtables.h`), or says `ENOENT`.
fn meaning(answer: Result<Option<Waiter>, DumpError>, asked: &Endpoints) -> FoundSocket {
    match answer {
        Ok(Some(waiter)) if waiter.known.ends == *asked => FoundSocket::Is(Box::new(waiter)),
        Ok(Some(_)) => FoundSocket::Gone,
        Err(DumpError::Answer(MessageError::Refused(error)))
            if error.raw_os_error() == Some(libc::ENOENT) =>
        {
            FoundSocket::Gone
        }
        Ok(None) | Err(_) => FoundSocket::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    };

    use tcpwatch_core::event::{Endpoint, KernelTime, KnownKind, KnownSocket, TcpState};

    use super::*;

    fn ends(address: impl Into<IpAddr>, local: u16, remote: u16) -> Endpoints {
        let address = address.into();
        Endpoints {
            local: Endpoint { address, port: local },
            remote: Endpoint { address, port: remote },
        }
    }

    fn waiter(ends: Endpoints) -> Waiter {
        let known = KnownSocket {
            socket: Cookie(1),
            netns: Netns(1),
            ends,
            cgroup: None,
            state: TcpState::Established,
            kind: KnownKind::Full,
            timer_left: None,
            seen: KernelTime(0),
            quiet: None,
            queue_full: false,
            inode: 0,
            owner: None,
        };
        Waiter { known, timer: None, receive_queue: 0, send_queue: 0, tcp: None }
    }

    #[test]
    fn a_question_names_the_local_end_as_source_in_its_family() {
        let (family, id) = identify(&ends(Ipv4Addr::LOCALHOST, 80, 4000), ANYWHERE);
        assert_eq!((family, id.source_port, id.destination_port), (AF_INET, 80, 4000));
        assert_eq!((id.interface_id, id.cookie), (0, [0xff; 8]));
        let (family, id) = identify(&ends(Ipv6Addr::LOCALHOST, 80, 4000), 7);
        assert_eq!((family, id.interface_id), (AF_INET6, 7));
    }

    #[test]
    fn only_no_such_entry_and_another_socket_mean_gone() {
        let asked = ends(Ipv4Addr::LOCALHOST, 80, 4000);
        let refused = |errno| {
            Err(DumpError::Answer(MessageError::Refused(io::Error::from_raw_os_error(errno))))
        };
        for (answer, means) in [
            (Ok(Some(waiter(asked))), FoundSocket::Is(Box::new(waiter(asked)))),
            (Ok(Some(waiter(ends(Ipv4Addr::LOCALHOST, 80, 0)))), FoundSocket::Gone),
            (refused(libc::ENOENT), FoundSocket::Gone),
            (refused(libc::EPERM), FoundSocket::Unknown),
            (
                Err(DumpError::Receive(io::Error::from_raw_os_error(libc::ENOENT))),
                FoundSocket::Unknown,
            ),
            (Err(DumpError::TooLong { got: 9000 }), FoundSocket::Unknown),
            (Ok(None), FoundSocket::Unknown),
        ] {
            assert_eq!(meaning(answer, &asked), means);
        }
    }

    #[test]
    fn a_late_answer_is_not_taken_for_another_questions() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut channel = Channel::open(Netns(1)).unwrap();
        for late in [ends(Ipv4Addr::LOCALHOST, port, 1), ends(Ipv6Addr::LOCALHOST, 1, 1)] {
            let (family, id) = identify(&late, ANYWHERE);
            channel.send(SINGLE, family, id).unwrap();
        }
        channel.check().unwrap();
        let asked = ends(Ipv4Addr::LOCALHOST, port, 1);
        assert_eq!(channel.find_on(ANYWHERE, &asked, None), FoundSocket::Gone);
        let error = channel.receive().unwrap_err();
        assert!(
            matches!(error, DumpError::Receive(error) if error.kind() == io::ErrorKind::WouldBlock)
        );
    }

    #[test]
    fn an_answer_that_never_comes_is_not_waited_for() {
        let mut channel = Channel::open(Netns(1)).unwrap();
        let answer = channel.answer();
        assert_eq!(meaning(answer, &ends(Ipv4Addr::LOCALHOST, 1, 1)), FoundSocket::Unknown);
    }
}
