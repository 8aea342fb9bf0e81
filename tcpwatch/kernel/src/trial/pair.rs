//! The two ends of an established connection, in one process. Every call waits for [`PATIENCE`] at most.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// Both ends.
pub(super) struct Pair {
    pub(super) client: Socket,
    pub(super) server: Socket,
}

/// A socket that waits no longer than [`PATIENCE`] for anything.
pub(super) fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

impl Pair {
    /// A connection to `listener`.
    pub(super) fn to(listener: &Socket) -> io::Result<Self> {
        Self::from(socket()?, listener)
    }

    /// The same from a socket that may be bound.
    pub(super) fn from(client: Socket, listener: &Socket) -> io::Result<Self> {
        client.connect_timeout(&listener.local_addr()?, PATIENCE)?;
        let (server, _) = listener.accept()?;
        server.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { client, server })
    }

    /// Ends both with a reset that the client sends.
    pub(super) fn reset(self) -> io::Result<()> {
        reset(self.client)?;
        // Returns when the reset is there.
        let _refused = (&self.server).read(&mut [0]).is_err();
        Ok(())
    }
}

/// Closes the writing side of `first` and returns when the other end has acknowledged its FIN: `first`
/// is in FIN_WAIT_2, `other` in CLOSE_WAIT. The byte that says so brings the acknowledgment.
pub(super) fn half_close(first: &Socket, mut other: &Socket) -> io::Result<()> {
    first.shutdown(Shutdown::Write)?;
    end_of_data(other)?;
    other.write_all(b"!")?;
    let mut first = first;
    first.read_exact(&mut [0])
}

/// Returns when the peer's FIN is there.
pub(super) fn end_of_data(mut socket: &Socket) -> io::Result<()> {
    match socket.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("data came where a FIN was expected")),
    }
}

/// This process's end of a connection whose other end waits, in a mini-socket.
pub struct Left(pub(super) Socket);

impl Left {
    /// Ends both with a reset.
    ///
    /// # Errors
    /// If the socket cannot be made to send one.
    pub fn end(self) -> io::Result<()> {
        reset(self.0)
    }
}

/// Closes the socket with a reset.
pub(super) fn reset(socket: Socket) -> io::Result<()> {
    socket.set_linger(Some(Duration::ZERO))?;
    drop(socket);
    Ok(())
}
