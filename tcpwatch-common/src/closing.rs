//! Why a full socket enters CLOSED: the one place where that is decided, for log and metrics.
//!
//! Where a mini-socket takes over, the kernel reports CLOSED for the full one, too
//! (`tcp_time_wait` in `net/ipv4/tcp_minisocks.c`): that is no end and is not asked here.

use crate::{
    Reason, errno,
    reset::ResetWay,
    state::{
        CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, LISTEN, SYN_RECV,
        SYN_SENT, TIME_WAIT,
    },
    state_change::{
        FLAG_CONNECT_FAILED, FLAG_DEAD, FLAG_DONE, FLAG_LINGER2_OFF, FLAG_NO_PORT, FLAG_NO_SOCKET,
        FLAG_REPAIR, FLAG_RETRIED, FLAG_SOFT_ERROR, FLAG_TW_ROOM, FLAG_UNACKED, FLAG_UNNUMBERED,
        FLAG_UNSENT,
    },
};

/// What is known of a full socket that enters CLOSED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// State that is left, the kernel's number.
    pub from: u8,
    /// [`crate::StateChange::error`].
    pub error: u16,
    /// `FLAG_*` of [`crate::state_change`].
    pub flags: u16,
    /// A reset that this socket took or sent on its way here. One that it sends afterwards, in the same
    /// softirq or system call, counts as soon as it is seen.
    pub reset: Option<ResetWay>,
}

#[expect(clippy::inline_always, reason = "the kernel side has no room for a call")]
impl Closing {
    #[inline(always)]
    const fn is(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Why it ends. Not inlined: the kernel's verifier follows each way through it once for each place.
    #[must_use]
    #[inline(never)]
    pub const fn reason(self) -> Reason {
        if self.error != 0 && !self.is(FLAG_SOFT_ERROR) {
            return self.by_error();
        }
        match self.from {
            LISTEN => Reason::Normal,
            SYN_SENT => self.of_connect(),
            ESTABLISHED | CLOSE_WAIT | SYN_RECV => self.of_connection(),
            FIN_WAIT_1 | CLOSING | LAST_ACK => self.with_fin_under_way(),
            FIN_WAIT_2 => self.of_fin_wait_2(),
            _ => Reason::Unknown,
        }
    }

    /// The kernel gives an orphan that data come for the error of a reset that came, and sends one
    /// (`tcp_rcv_state_process` in `net/ipv4/tcp_input.c`): a reset is never answered with another.
    #[inline(always)]
    const fn by_error(self) -> Reason {
        match (errno::meaning(self.error), self.reset) {
            (Reason::ResetReceived, Some(ResetWay::Sent)) => Reason::ResetSent,
            (meaning, _) => meaning,
        }
    }

    /// In `SYN_SENT`, without an error.
    #[inline(always)]
    const fn of_connect(self) -> Reason {
        if self.is(FLAG_SOFT_ERROR) {
            // ICMP came while connect() was at work: the kernel leaves the socket in SYN_SENT, and the
            // application reads the error (tcp_v4_err in net/ipv4/tcp_ipv4.c).
            return errno::meaning(self.error);
        }
        // inet_hash_connect() fails with EADDRNOTAVAIL, first of all that can.
        if self.is(FLAG_NO_PORT) {
            return Reason::NoPort;
        }
        if self.is(FLAG_CONNECT_FAILED) {
            return if self.is(FLAG_UNNUMBERED) { Reason::TupleInUse } else { Reason::NotSent };
        }
        if self.is(FLAG_RETRIED) { Reason::GaveUp } else { Reason::Normal }
    }

    /// `close()` with unread data or with `SO_LINGER` 0, `connect()` to `AF_UNSPEC` and the end of a listener
    /// all reset (`__tcp_close` and `tcp_disconnect` in `net/ipv4/tcp.c`).
    #[inline(always)]
    const fn of_connection(self) -> Reason {
        if self.is(FLAG_REPAIR) {
            Reason::Repaired
        } else if self.is(FLAG_NO_SOCKET) {
            // inet_child_forget in net/ipv4/inet_connection_sock.c.
            Reason::NeverAccepted
        } else {
            Reason::ResetSent
        }
    }

    /// In `FIN_WAIT_1`, `CLOSING` and `LAST_ACK`.
    #[inline(always)]
    const fn with_fin_under_way(self) -> Reason {
        if !matches!(self.from, FIN_WAIT_1) && !self.is(FLAG_UNACKED) {
            // The acknowledgment of the FIN: tcp_rcv_state_process() is done with the one, and calls
            // tcp_time_wait() for the other, which had no room.
            return if matches!(self.from, LAST_ACK) {
                Reason::Normal
            } else {
                Reason::TimeWaitOverflow
            };
        }
        if self.is(FLAG_REPAIR) {
            return Reason::Repaired;
        }
        if self.is(FLAG_DEAD) {
            // tcp_out_of_resources in net/ipv4/tcp_timer.c and tcp_check_oom in __tcp_close; they need
            // not send a reset.
            return Reason::OutOfMemory;
        }
        // tcp_disconnect() sends a reset in FIN_WAIT_1, in the others only if something was not sent.
        if matches!(self.from, FIN_WAIT_1) || self.is(FLAG_UNSENT) {
            return Reason::ResetSent;
        }
        match self.reset {
            Some(ResetWay::Sent) => Reason::ResetSent,
            _ => Reason::Abandoned,
        }
    }

    #[inline(always)]
    const fn of_fin_wait_2(self) -> Reason {
        // tcp_fin() called tcp_time_wait().
        if self.is(FLAG_DONE) {
            return Reason::TimeWaitOverflow;
        }
        if self.is(FLAG_REPAIR) {
            return Reason::Repaired;
        }
        // TCP_LINGER2 below 0 resets; the application that has not let go does by any of its ways.
        if self.is(FLAG_LINGER2_OFF) || !self.is(FLAG_DEAD) {
            return Reason::ResetSent;
        }
        // Data came after close(), with the acknowledgment of the FIN (tcp_rcv_state_process), or the
        // time is over (tcp_keepalive_timer): a reset is sent. Else tcp_time_wait() had no room.
        match self.reset {
            Some(ResetWay::Sent) => Reason::ResetSent,
            _ if self.is(FLAG_TW_ROOM) => Reason::Unknown,
            _ => Reason::TimeWaitOverflow,
        }
    }

    /// The state in which a mini-socket goes on, where mini-sockets are not watched: the connection is in
    /// TIME_WAIT if the peer's FIN has come, and stays in FIN_WAIT_2 if not.
    #[must_use]
    #[inline(always)]
    pub const fn guessed_successor(self) -> Option<u8> {
        let may_be = matches!(self.from, FIN_WAIT_2 | CLOSING);
        if !may_be || self.error != 0 || self.reset.is_some() || self.is(FLAG_LINGER2_OFF) {
            None
        } else if self.is(FLAG_DONE) || matches!(self.from, CLOSING) {
            Some(TIME_WAIT)
        } else if self.is(FLAG_DEAD) {
            Some(FIN_WAIT_2)
        } else {
            None
        }
    }

    /// Does it end because data came after the application had closed? `reset_after`: it sent a reset right
    /// after its last change. (Before that change, its time in FIN_WAIT_2 is over.)
    #[must_use]
    pub const fn is_by_late_data(self, reset_after: bool) -> bool {
        let closes = matches!(self.from, FIN_WAIT_1 | FIN_WAIT_2 | CLOSING | LAST_ACK);
        closes
            && reset_after
            && self.is(FLAG_DEAD)
            && !self.is(FLAG_LINGER2_OFF)
            && matches!(self.reason(), Reason::ResetSent)
    }

    /// Does a reset that is sent after this still decide? Everything else is known at once.
    #[must_use]
    #[inline(always)]
    pub const fn awaits_reset(self) -> bool {
        if self.reset.is_some() {
            return false;
        }
        self.error == 0
            && self.from == FIN_WAIT_2
            && self.is(FLAG_DEAD)
            && !self.is(FLAG_DONE | FLAG_LINGER2_OFF | FLAG_REPAIR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECONNRESET: u16 = 104;

    fn reason(from: u8, error: u16, flags: u16, reset: Option<ResetWay>) -> Reason {
        Closing { from, error, flags, reset }.reason()
    }

    #[test]
    fn a_connect_ends_by_what_the_application_was_told() {
        for (error, flags, expected) in [
            (0, 0, Reason::Normal),
            (0, FLAG_RETRIED, Reason::GaveUp),
            (0, FLAG_NO_PORT | FLAG_CONNECT_FAILED | FLAG_UNNUMBERED, Reason::NoPort),
            (0, FLAG_CONNECT_FAILED | FLAG_UNNUMBERED, Reason::TupleInUse),
            (0, FLAG_CONNECT_FAILED, Reason::NotSent),
            (111, FLAG_SOFT_ERROR, Reason::Refused),
            (113, FLAG_SOFT_ERROR | FLAG_RETRIED, Reason::Unreachable),
            (111, 0, Reason::Refused),
            (110, FLAG_RETRIED, Reason::TimedOut),
        ] {
            assert_eq!(reason(SYN_SENT, error, flags, None), expected, "{error} {flags:#x}");
        }
    }

    #[test]
    fn data_after_close_is_a_reset_sent_by_whichever_way_the_kernel_takes() {
        let sent = Some(ResetWay::Sent);
        assert_eq!(reason(FIN_WAIT_2, 0, FLAG_DEAD, sent), Reason::ResetSent);
        for from in [FIN_WAIT_1, FIN_WAIT_2, CLOSING, LAST_ACK] {
            assert_eq!(reason(from, ECONNRESET, FLAG_DEAD, sent), Reason::ResetSent, "{from}");
            let received = Some(ResetWay::Received);
            let got = reason(from, ECONNRESET, FLAG_DEAD, received);
            assert_eq!(got, Reason::ResetReceived, "{from}");
        }
    }

    #[test]
    fn time_wait_overflows_only_where_the_kernel_was_about_to_enter_it_and_sent_no_reset() {
        for (from, flags, expected) in [
            (FIN_WAIT_2, FLAG_DEAD | FLAG_DONE, Reason::TimeWaitOverflow),
            (FIN_WAIT_2, FLAG_DONE, Reason::TimeWaitOverflow),
            (FIN_WAIT_2, FLAG_DEAD, Reason::TimeWaitOverflow),
            (FIN_WAIT_2, FLAG_DEAD | FLAG_TW_ROOM, Reason::Unknown),
            (CLOSING, FLAG_DEAD, Reason::TimeWaitOverflow),
            (CLOSING, FLAG_DEAD | FLAG_UNACKED, Reason::OutOfMemory),
            (FIN_WAIT_2, FLAG_DEAD | FLAG_LINGER2_OFF, Reason::ResetSent),
            (FIN_WAIT_2, 0, Reason::ResetSent),
            (FIN_WAIT_1, FLAG_UNACKED, Reason::ResetSent),
            (FIN_WAIT_1, FLAG_UNACKED | FLAG_DEAD, Reason::OutOfMemory),
        ] {
            assert_eq!(reason(from, 0, flags, None), expected, "{from} {flags:#x}");
        }
    }

    #[test]
    fn data_that_come_after_close_are_told_from_the_other_resets() {
        let orphan = Closing { from: FIN_WAIT_2, flags: FLAG_DEAD, ..Closing::default() };
        let answered = Closing { reset: Some(ResetWay::Sent), ..orphan };
        assert!(answered.is_by_late_data(true));
        assert!(!answered.is_by_late_data(false), "its time was over");
        assert!(!Closing { flags: FLAG_DEAD | FLAG_LINGER2_OFF, ..answered }.is_by_late_data(true));
        assert!(!Closing { flags: 0, ..answered }.is_by_late_data(true), "a disconnect");
        assert!(!Closing { from: ESTABLISHED, ..answered }.is_by_late_data(true));
    }

    #[test]
    fn only_what_a_later_reset_decides_waits_for_it() {
        let orphan = Closing { from: FIN_WAIT_2, flags: FLAG_DEAD, ..Closing::default() };
        assert!(orphan.awaits_reset());
        assert!(!Closing { flags: FLAG_DEAD | FLAG_DONE, ..orphan }.awaits_reset());
        assert!(!Closing { reset: Some(ResetWay::Sent), ..orphan }.awaits_reset());
        assert!(!Closing { from: LAST_ACK, ..orphan }.awaits_reset());
        let all = [ESTABLISHED, CLOSE_WAIT, SYN_RECV, SYN_SENT, FIN_WAIT_1, CLOSING, LAST_ACK];
        for from in all {
            let without = Closing { from, flags: FLAG_UNSENT | FLAG_UNACKED, ..Closing::default() };
            let with = Closing { reset: Some(ResetWay::Sent), ..without };
            assert!(without.awaits_reset() || without.reason() == with.reason(), "{from}");
        }
    }

    #[test]
    fn the_last_acknowledgment_is_a_normal_end_and_nothing_else_is() {
        assert_eq!(reason(LAST_ACK, 0, FLAG_DEAD, None), Reason::Normal);
        assert_eq!(reason(LAST_ACK, 0, FLAG_UNACKED, None), Reason::Abandoned);
        assert_eq!(reason(LAST_ACK, 0, FLAG_UNACKED | FLAG_UNSENT, None), Reason::ResetSent);
        assert_eq!(reason(LAST_ACK, 0, FLAG_UNACKED | FLAG_DEAD, None), Reason::OutOfMemory);
        assert_eq!(reason(LAST_ACK, 110, FLAG_UNACKED | FLAG_DEAD, None), Reason::TimedOut);
    }

    #[test]
    fn a_connection_is_reset_unless_it_was_repaired_or_never_accepted() {
        for from in [ESTABLISHED, CLOSE_WAIT, SYN_RECV] {
            assert_eq!(reason(from, 0, 0, None), Reason::ResetSent);
            assert_eq!(reason(from, 0, FLAG_REPAIR, None), Reason::Repaired);
            assert_eq!(reason(from, 0, FLAG_NO_SOCKET, None), Reason::NeverAccepted);
            assert_eq!(reason(from, 103, 0, Some(ResetWay::Sent)), Reason::Killed);
        }
    }
}
