//! Iterator `tcp` (`net/ipv4/tcp_ipv4.c`, since 5.9): lists the TCP sockets of the reader's network
//! namespace as [`SeenSocket`]s, with the functions that the timers of mini-sockets run.

use tcpwatch_common::SeenSocket;

use crate::{
    count::books,
    kernel::{AnyTcp, TcpIterator},
};

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
extern "C" fn tcp_sockets(context: &TcpIterator) -> i32 {
    if let Some(socket) = AnyTcp::of_iterator(context) {
        let (local_port, remote_port) = socket.ports();
        let (mini, handler) = socket.mini_handler().map_or((0, 0), |(kind, at)| (kind as u8, at));
        context.write(&SeenSocket { handler, local_port, remote_port, mini, reserved: [0; 3] });
    }
    0
}

/// The same iterator: every socket that it comes to is counted if it was not ([`books::meet`]). Nothing is written.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
extern "C" fn meet_sockets(context: &TcpIterator) -> i32 {
    if let Some(socket) = AnyTcp::of_iterator(context) {
        books::meet(socket);
    }
    0
}
