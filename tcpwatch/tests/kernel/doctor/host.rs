//! Two hosts that a case has for itself, and servers in them.

use std::{
    any::Any,
    net::{SocketAddr, TcpListener, TcpStream},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::harness::netns::{Netns, two_hosts};

/// What a case holds until the doctor has judged.
pub(super) type Kept = Box<dyn Any + Send>;

/// `10.9.0.1`, and its neighbour `10.9.0.2`.
pub(super) struct Host {
    pub(super) here: Netns,
    pub(super) there: Netns,
}

impl Host {
    pub(super) fn new() -> Self {
        let (here, there) = two_hosts();
        Self { here, there }
    }

    /// A listener of this host.
    pub(super) fn listen(&self, backlog: i32) -> TcpListener {
        listen(&self.here, backlog)
    }

    /// Connects from this host to its own listener.
    pub(super) fn connect(&self, listener: &TcpListener) -> TcpStream {
        let to = reached(listener, "127.0.0.1");
        self.here.inside(|| TcpStream::connect(to).unwrap())
    }

    /// Connects from the neighbour to a listener of this host.
    pub(super) fn connect_from_there(&self, listener: &TcpListener) -> TcpStream {
        let to = reached(listener, "10.9.0.1");
        self.there.inside(|| TcpStream::connect(to).unwrap())
    }
}

/// A listener on every address of a host.
pub(super) fn listen(netns: &Netns, backlog: i32) -> TcpListener {
    netns.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from(([0, 0, 0, 0], 0)).into()).unwrap();
        socket.listen(backlog).unwrap();
        socket.into()
    })
}

/// Where a listener is reached by this address.
pub(super) fn reached(listener: &TcpListener, address: &str) -> SocketAddr {
    (address.parse::<std::net::IpAddr>().unwrap(), listener.local_addr().unwrap().port()).into()
}
