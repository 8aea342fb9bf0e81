//! What the connections are made with: three ports on loopback.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::AsFd as _,
};

use socket2::Socket;

use super::{option, pair};

/// Connections that may wait for `accept()`.
const BACKLOG: i32 = 16;

/// Bound sockets on loopback, in the network namespace of the thread that made them.
pub struct LoopbackSockets {
    /// Takes connections.
    pub(super) server: Socket,
    /// Waits for data (`TCP_DEFER_ACCEPT`): connections to it stay half-open until some comes
    /// (`tcp_check_req`, `net/ipv4/tcp_minisocks.c`).
    pub(super) half_open: Socket,
    /// Does not listen: connections to it are refused.
    pub(super) closed: Socket,
}

impl LoopbackSockets {
    /// Makes them.
    ///
    /// # Errors
    /// If a system call is refused.
    pub fn set() -> io::Result<Self> {
        let (server, half_open, closed) = (bound()?, bound()?, bound()?);
        option::set(half_open.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1)?;
        Ok(Self { server, half_open, closed })
    }

    /// Listens, before anything is connected.
    ///
    /// # Errors
    /// If a system call is refused.
    pub fn open(&self) -> io::Result<()> {
        self.server.listen(BACKLOG)?;
        self.half_open.listen(BACKLOG)
    }

    /// The ports; every connection of the trial has one of them at one end.
    ///
    /// # Errors
    /// If a system call is refused.
    pub fn ports(&self) -> io::Result<Ports> {
        Ok(Ports {
            server: port(&self.server)?,
            half_open: port(&self.half_open)?,
            closed: port(&self.closed)?,
        })
    }
}

/// Where connections are made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Accepts them.
    pub server: u16,
    /// Leaves them half-open.
    pub half_open: u16,
    /// Refuses them.
    pub closed: u16,
}

impl Ports {
    /// Is it one of them?
    #[must_use]
    pub const fn has(&self, port: u16) -> bool {
        port == self.server || port == self.half_open || port == self.closed
    }
}

fn bound() -> io::Result<Socket> {
    let socket = pair::socket()?;
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket)
}

fn port(socket: &Socket) -> io::Result<u16> {
    let address = socket.local_addr()?.as_socket();
    address.map(|address| address.port()).ok_or_else(|| io::Error::other("it has no address"))
}
