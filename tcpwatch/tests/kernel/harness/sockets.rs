//! Sockets, and filters by which they lose segments: a segment that a socket's own filter drops is lost on the
//! receiver's side, invisible to the sender, as on a real network.

use std::{
    io::Read as _,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd as _},
    time::Duration,
};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

/// Loopback, any port, both families.
pub(crate) const V4: &str = "127.0.0.1:0";
pub(crate) const V6: &str = "[::1]:0";

/// Both ends of a connection.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

impl Pair {
    /// Over this listener.
    pub(crate) fn over(listener: &TcpListener) -> Self {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self { client, server }
    }

    /// Over this listener's port, to an address of the host.
    pub(crate) fn over_port(listener: &TcpListener, host: &str) -> Self {
        let client = TcpStream::connect((host, listener.local_addr().unwrap().port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self { client, server }
    }

    /// Addresses of the client and of the server.
    pub(crate) fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.client.local_addr().unwrap(), self.client.peer_addr().unwrap())
    }

    pub(crate) fn close_client_first(self) {
        close_first(self.client, self.server);
    }

    pub(crate) fn close_server_first(self) {
        close_first(self.server, self.client);
    }
}

/// Closes `first`; the other end closes when it has seen that.
pub(crate) fn close_first(first: TcpStream, mut second: TcpStream) {
    drop(first);
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "the peer's FIN");
    drop(second);
}

/// Resets the connection.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Sets an option of `tcp(7)` that no crate has a type for.
pub(crate) fn set_tcp_option(socket: &impl AsFd, number: i32, value: i32) {
    let length = u32::try_from(size_of_val(&value)).unwrap();
    let (descriptor, value) = (socket.as_fd().as_raw_fd(), (&raw const value).cast());
    // SAFETY: `value` points to an i32 that lives until after the call, and `length` is its size.
    let done = unsafe { libc::setsockopt(descriptor, libc::IPPROTO_TCP, number, value, length) };
    assert_eq!(done, 0, "option {number}: {}", std::io::Error::last_os_error());
}

/// Sends a FIN and keeps the socket.
pub(crate) fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}

/// A socket bound to `local`, which may still be in TIME_WAIT.
pub(crate) fn bound(local: SocketAddr) -> Socket {
    let socket =
        Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&local.into()).unwrap();
    socket
}

/// Connects from `local`.
pub(crate) fn connect_from(local: SocketAddr, remote: SocketAddr) -> TcpStream {
    let socket = bound(local);
    socket.connect(&remote.into()).unwrap();
    socket.into()
}

/// Sends a SYN and does not wait.
pub(crate) fn start_connect(socket: Socket, remote: SocketAddr) -> Socket {
    socket.set_nonblocking(true).unwrap();
    let refused = socket.connect(&remote.into()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINPROGRESS), "{refused}");
    socket
}

/// A socket that has not been bound.
pub(crate) fn unbound(remote: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP)).unwrap()
}

/// Drops every segment for the socket.
pub(crate) fn lose_all(socket: &impl AsFd) {
    filter(socket, &[RETURN_NOTHING]);
}

/// Drops every segment with ACK and without SYN.
pub(crate) fn lose_acks(socket: &impl AsFd) {
    lose_with(socket, ACK);
}

/// Drops every segment that answers a SYN.
pub(crate) fn lose_syn_acks(socket: &impl AsFd) {
    lose_with(socket, SYN | ACK);
}

const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Drops every segment with these of the two flags.
fn lose_with(socket: &impl AsFd, flags: u32) {
    const FLAGS_OF_TCP: u32 = 13;
    filter(
        socket,
        &[
            instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS_OF_TCP),
            instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
            instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, flags),
            RETURN_NOTHING,
            instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        ],
    );
}

/// Drops nothing any more.
pub(crate) fn lose_nothing(socket: &impl AsFd) {
    SockRef::from(socket).detach_filter().unwrap();
}

const RETURN_NOTHING: SockFilter = instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0);

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "opcodes are constants below 2^16 and conversions are not const"
)]
const fn instruction(code: u32, if_true: u8, if_false: u8, value: u32) -> SockFilter {
    SockFilter::new(code as u16, if_true, if_false, value)
}

fn filter(socket: &impl AsFd, program: &[SockFilter]) {
    SockRef::from(socket).attach_filter(program).unwrap();
}
