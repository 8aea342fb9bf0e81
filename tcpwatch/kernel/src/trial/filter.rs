//! A socket filter (classic BPF, `socket(7)`), which lets a socket lose segments: what it drops, TCP never
//! sees, and does not acknowledge (`tcp_v4_rcv`, `net/ipv4/tcp_ipv4.c`).

use std::io;

use socket2::{SockFilter, Socket};

/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
const DROP: SockFilter = SockFilter::new(RETURN, 0, 0, 0);

/// From now on nothing reaches the socket.
pub(super) fn drop_everything(socket: &Socket) -> io::Result<()> {
    socket.attach_filter(&[DROP])
}
