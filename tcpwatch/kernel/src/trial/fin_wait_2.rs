//! A connection whose client has gone while the server stays: FIN_WAIT_2 without an application.

use std::{
    fs,
    io::{self, Read as _, Write as _},
};

use super::{
    LoopbackSockets,
    pair::{self, Left, Pair},
};

/// How long FIN_WAIT_2 without an application lasts, in seconds.
const FIN_TIMEOUT: &str = "/proc/sys/net/ipv4/tcp_fin_timeout";

impl LoopbackSockets {
    /// Makes one and returns the server's end. The client's end waits until its timer ends it or the server's end does.
    ///
    /// # Errors
    /// If a system call is refused.
    pub fn leave_in_fin_wait_2(&self) -> io::Result<Left> {
        let Pair { client, server } = Pair::to(&self.server)?;
        // The server is known by what it receives from here on: it has made no other call yet.
        (&client).write_all(b"?")?;
        (&server).read_exact(&mut [0])?;
        pair::half_close(&client, &server)?;
        drop(client);
        Ok(Left(server))
    }
}

/// Lets FIN_WAIT_2 last a second in the calling thread's network namespace, which should be its own.
///
/// # Errors
/// If sysctls are read-only.
pub fn shorten_fin_wait_2() -> io::Result<()> {
    fs::write(FIN_TIMEOUT, "1")
}
