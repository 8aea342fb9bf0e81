//! A connection that both sides close, and the TIME_WAIT it leaves, which a new connection ends.

use std::{io, thread, time::Duration};

use socket2::SockAddr;

use super::{
    LoopbackSockets,
    pair::{self, Pair},
};

/// Tries to take the client's port again; the last acknowledgment may be on its way.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_micros(500);

impl LoopbackSockets {
    /// The server closes first and is left in TIME_WAIT until a SYN from the same port comes, which
    /// opens a new connection (RFC 9293, section 3.6.1; `tcp_timewait_state_process`,
    /// `net/ipv4/tcp_minisocks.c`). That one ends with a reset.
    ///
    /// # Errors
    /// If a system call is refused, or TIME_WAIT does not give way.
    pub fn pass_time_wait(&self) -> io::Result<()> {
        let Pair { client, server } = Pair::to(&self.server)?;
        pair::half_close(&server, &client)?;
        let address = client.local_addr()?;
        drop(client);
        pair::end_of_data(&server)?;
        self.again_from(&address)?.reset()
    }

    fn again_from(&self, address: &SockAddr) -> io::Result<Pair> {
        let mut tries = 1..=TRIES;
        loop {
            let taken = pair::socket().and_then(|client| {
                client.set_reuse_address(true)?;
                client.bind(address)?;
                Pair::from(client, &self.server)
            });
            match taken {
                Err(error) if is_taken(&error) && tries.next().is_some() => thread::sleep(PAUSE),
                done => return done,
            }
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable};
    matches!(error.kind(), AddrInUse | AddrNotAvailable)
}
