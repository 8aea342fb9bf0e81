//! A half-open connection: the listener waits for data that never comes, until a reset ends it.

use std::io;

use super::{
    LoopbackSockets, PATIENCE,
    pair::{self, Left},
};

impl LoopbackSockets {
    /// Makes one and returns the client's end. The server's end is in SYN_RECV meanwhile: its timer is
    /// armed before it answers the SYN (`tcp_conn_request`, `net/ipv4/tcp_input.c`).
    ///
    /// # Errors
    /// If the client gets no answer.
    pub fn leave_half_open(&self) -> io::Result<Left> {
        let client = pair::socket()?;
        client.connect_timeout(&self.half_open.local_addr()?, PATIENCE)?;
        Ok(Left(client))
    }
}
