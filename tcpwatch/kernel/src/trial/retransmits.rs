//! Segments that are sent again because a filter drops incoming segments.

use std::{
    io::{self, Write as _},
    net::Shutdown,
};

use socket2::Socket;

use super::{
    LoopbackSockets, filter,
    pair::{self, Pair},
};

/// Connections that wait for an answer. Dropped, they end.
pub struct Unanswered {
    connecting: Socket,
    data: Pair,
    fin: Pair,
}

impl LoopbackSockets {
    /// A SYN, a SYN+ACK, data and a FIN that get no answer. The kernel sends the last two again after some
    /// 0.2 s, the first two after 1 s.
    ///
    /// # Errors
    /// If a system call is refused.
    pub fn send_without_answer(&self) -> io::Result<Unanswered> {
        let connecting = pair::socket()?;
        filter::drop_everything(&connecting)?;
        connecting.set_nonblocking(true)?;
        match connecting.connect(&self.server.local_addr()?) {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
            Ok(()) => return Err(io::Error::other("a connect without an answer succeeded")),
        }
        let (data, fin) = (Pair::to(&self.server)?, Pair::to(&self.server)?);
        filter::drop_everything(&data.server)?;
        (&data.client).write_all(b"!")?;
        filter::drop_everything(&fin.server)?;
        fin.client.shutdown(Shutdown::Write)?;
        Ok(Unanswered { connecting, data, fin })
    }
}

impl Unanswered {
    /// Lets the answer to the next SYN through, so that the server's end of the handshake is not left
    /// half-open.
    ///
    /// # Errors
    /// If the filter cannot be taken off.
    pub fn answer_the_next_syn(&self) -> io::Result<()> {
        self.connecting.detach_filter()
    }

    /// Ends all of them with resets.
    ///
    /// # Errors
    /// If a system call is refused.
    pub fn end(self) -> io::Result<()> {
        for pair in [self.data, self.fin] {
            pair.server.detach_filter()?;
            pair.reset()?;
        }
        pair::reset(self.connecting)
    }
}
