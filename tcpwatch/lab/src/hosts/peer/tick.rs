//! Waits for a tick of the kernel, so that what is called then is done long before the next, or at
//! the same place of the timer wheel in every run.
//!
//! A FIN without data is acknowledged with the first tick after it (`tcp_send_delayed_ack`,
//! `net/ipv4/tcp_output.c`). If that ACK comes while `close()` still holds the socket, FIN_WAIT_2 takes
//! another road: the full socket waits, and resets in the end (`sock_owned_by_user` in
//! `tcp_rcv_state_process`, `net/ipv4/tcp_input.c`).

use std::{
    io::{self, Read as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// A tick is longer.
const NEXT_TICK: Duration = Duration::from_millis(1);
/// The first timeout of a SYN: its timers are as coarse as this one.
const COARSE: Duration = Duration::from_secs(1);

/// Sockets on which nobody ever writes. The timeout of a read is a timer of the wheel, which a tick
/// runs (`schedule_timeout`); a sleep would end between two ticks.
pub(super) struct Tick {
    next: UnixStream,
    coarse: UnixStream,
    _other_ends: [UnixStream; 2],
}

impl Tick {
    /// `out_of_the_way` gives the sockets numbers that no socket of the scenario gets.
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

    /// Until a tick has just begun.
    pub(super) fn wait(&self) {
        let _timed_out = (&self.next).read(&mut [0]).is_err();
    }

    /// Until a tick has just begun with which the timer wheel turns for timers of a second.
    pub(super) fn wait_for_the_wheel(&self) {
        let _timed_out = (&self.coarse).read(&mut [0]).is_err();
    }
}
