//! A timewait and a request socket of this process's own making, on 127.0.0.1.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    time::Duration,
};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkFlags, LinkMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::net::sockopt::set_socket_linger;

/// A handshake with oneself takes microseconds; a firewall that swallows it must not hold up the start.
const PATIENCE: Duration = Duration::from_millis(200);
/// Seconds for which a connection without data stays a request socket.
static DEFER: libc::c_int = 30;

/// A listener with `TCP_DEFER_ACCEPT` and two connections to it. The first sends nothing: it stays a
/// request socket, with its timer running, though the handshake is complete (`tcp_check_req`,
/// `net/ipv4/tcp_minisocks.c`). The second has been closed: its FIN made the listener accept it, and
/// the closed end is a timewait socket in FIN_WAIT_2 (`tcp_time_wait`).
///
/// Dropped, they leave nothing: the first connection is reset; and then the listener resets what it
/// accepted and nobody took from it (`inet_csk_listen_stop`, `net/ipv4/inet_connection_sock.c`), which
/// ends the timewait socket.
pub(super) struct OwnSockets {
    /// The listener's.
    pub(super) port: u16,
    _half_open: TcpStream,
    _listener: TcpListener,
}

impl OwnSockets {
    pub(super) fn make() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        defer_accept(&listener)?;
        let address = listener.local_addr()?;
        let half_open = TcpStream::connect_timeout(&address, PATIENCE)?;
        set_socket_linger(&half_open, Some(Duration::ZERO))?;
        drop(TcpStream::connect_timeout(&address, PATIENCE)?);
        Ok(Self { port: address.port(), _half_open: half_open, _listener: listener })
    }
}

#[expect(unsafe_code, reason = "no crate that is used here sets this option")]
fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&DEFER)).map_err(io::Error::other)?;
    let value = (&raw const DEFER).cast();
    // SAFETY: the value is as long as it is said to be, and only read.
    let set = unsafe {
        let (level, option) = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
        libc::setsockopt(listener.as_raw_fd(), level, option, value, length)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Brings up the loopback interface, the first of a new network namespace
/// (`LOOPBACK_IFINDEX`, `include/net/flow.h`).
pub(super) fn raise_loopback() -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = 1;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let question = NetlinkPayload::from(RouteNetlinkMessage::SetLink(link));
    let mut message = NetlinkMessage::new(header, question);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer);
    match answer.map_err(io::Error::other)?.payload {
        NetlinkPayload::Error(refusal) if refusal.code.is_some() => Err(refusal.to_io()),
        _ => Ok(()),
    }
}
