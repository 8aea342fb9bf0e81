//! Waits for a tick of the kernel, so that the next call is finished long before the tick after it, or is at the same
//! position of the timer wheel in every run.
//!
//! A FIN without data is acknowledged with the first tick after it (`tcp_send_delayed_ack`, `net/ipv4/tcp_output.c`).
//! If that ACK comes while `close()` still holds the socket, FIN_WAIT_2 takes another path: the full socket waits, and
//! resets in the end (`sock_owned_by_user` in `tcp_rcv_state_process`, `net/ipv4/tcp_input.c`).

use std::{
    io::{self, Read as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// Not longer than a tick.
const NEXT_TICK: Duration = Duration::from_millis(1);
/// The first timeout of a SYN: its timer has the same granularity.
const COARSE: Duration = Duration::from_secs(1);

/// Sockets on which nothing is ever written. The timeout of a read is a timer of the wheel, which a tick runs
/// (`schedule_timeout`); a sleep would end between two ticks.
pub(super) struct Tick {
    next: UnixStream,
    coarse: UnixStream,
    _other_ends: [UnixStream; 2],
}

impl Tick {
    /// `out_of_the_way` moves the sockets to numbers that no socket of the scenario gets.
    pub(super) fn new(
        out_of_the_way: impl Fn(&dyn AsFd) -> io::Result<OwnedFd>,
    ) -> io::Result<Self> {
        let pair = |timeout| {
            let (silent, other_end) = UnixStream::pair()?;
            let silent = UnixStream::from(out_of_the_way(&silent)?);
            let other_end = UnixStream::from(out_of_the_way(&other_end)?);
            silent.set_read_timeout(Some(timeout))?;
            io::Result::Ok((silent, other_end))
        };
        let (next, other) = pair(NEXT_TICK)?;
        let (coarse, another) = pair(COARSE)?;
        Ok(Self { next, coarse, _other_ends: [other, another] })
    }

    /// Returns just after a tick.
    pub(super) fn wait(&self) {
        // The read times out.
        drop((&self.next).read(&mut [0]));
    }

    /// Returns just after a tick that advances the timer wheel's level for timers of a second.
    pub(super) fn wait_for_the_wheel(&self) {
        // The read times out.
        drop((&self.coarse).read(&mut [0]));
    }
}
