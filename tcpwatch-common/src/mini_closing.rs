//! Why a mini-socket ends: the one place where that is decided, for log and metrics.

use crate::{
    MiniKind, Reason,
    state::{FIN_WAIT_2, TIME_WAIT},
};

/// Which part of the kernel ended a mini-socket before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EarlyEnd {
    /// A reset that was accepted.
    ResetReceived = 1,
    /// A segment: a SYN that opens a new connection in TIME_WAIT, data or a SYN that is answered
    /// with a reset in FIN_WAIT_2, anything for a half-open connection without a listener.
    SegmentReceived = 2,
    /// The handshake is done: an accepted socket replaces a half-open connection.
    Accepted = 3,
    /// `connect()` took the four-tuple.
    Connect = 4,
    /// ICMP said that the peer of a half-open connection cannot be reached.
    Unreachable = 5,
    /// An administrator destroyed it.
    Killed = 6,
    /// Its network namespace went away.
    NetnsGone = 7,
}

impl EarlyEnd {
    /// The one with this number, the other way round of `as u32`.
    #[must_use]
    #[inline]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::ResetReceived,
            2 => Self::SegmentReceived,
            3 => Self::Accepted,
            4 => Self::Connect,
            5 => Self::Unreachable,
            6 => Self::Killed,
            7 => Self::NetnsGone,
            _ => return None,
        })
    }
}

/// A range of a kernel function from which mini-sockets are ended, of which a compiler makes several: where
/// it lies, and the [`EarlyEnd`] it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Ending {
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// [`EarlyEnd`]; 0 if there is none.
    pub what: u64,
}

/// Such ranges at most: that of each function, and one that was split off.
pub const MAX_ENDINGS: usize = 32;
/// An [`Ending`] as user space writes it.
pub type EndingWords = [u64; 3];

/// What is known of a mini-socket that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiniClosing {
    /// What it is.
    pub kind: MiniKind,
    /// Its state, the kernel's number.
    pub state: u8,
    /// Its timer fired; otherwise it was disarmed.
    pub expired: bool,
    /// What ended it before its time, if that is known.
    pub ended_by: Option<EarlyEnd>,
    /// This host sent a reset to its peer just before.
    pub reset_sent: bool,
    /// A half-open connection's listener still listens.
    pub listens: bool,
}

impl MiniClosing {
    /// Does it end because data came after the application had closed? `answers_no_syn`: the reset that this host
    /// sent just before answers a segment without SYN. In FIN_WAIT_2 `tcp_timewait_state_process` in
    /// `net/ipv4/tcp_minisocks.c` answers nothing with a reset but a SYN and a segment with data.
    #[must_use]
    pub const fn is_by_late_data(self, answers_no_syn: bool) -> bool {
        matches!((self.kind, self.ended_by), (MiniKind::TimeWait, Some(EarlyEnd::SegmentReceived)))
            && self.state == FIN_WAIT_2
            && self.reset_sent
            && answers_no_syn
    }

    /// Why it ends. Not inlined: see [`crate::Closing::reason`].
    #[must_use]
    #[inline(never)]
    pub const fn reason(self) -> Reason {
        match (self.kind, self.ended_by) {
            (_, Some(EarlyEnd::NetnsGone)) => Reason::NetnsGone,
            (_, Some(EarlyEnd::Killed)) => Reason::Killed,
            (_, Some(EarlyEnd::Connect)) => Reason::Reused,
            (_, Some(EarlyEnd::Unreachable)) => Reason::Unreachable,
            // tcp_check_req() also sends one: the accept queue is full (`tcp_abort_on_overflow`), or
            // a SYN came that does not belong.
            (MiniKind::Request, Some(EarlyEnd::ResetReceived)) if self.reset_sent => {
                Reason::ResetSent
            }
            (_, Some(EarlyEnd::ResetReceived)) => Reason::ResetReceived,
            // tcp_v4_rcv() itself: a SYN opens a new connection in TIME_WAIT (TCP_TW_SYN), what does
            // not belong is answered with a reset in FIN_WAIT_2 (TCP_TW_RST), and a request whose
            // listener no longer listens is dropped.
            (MiniKind::TimeWait, Some(EarlyEnd::SegmentReceived)) => match self.state {
                TIME_WAIT => Reason::Reused,
                _ => Reason::ResetSent,
            },
            (MiniKind::Request, Some(EarlyEnd::SegmentReceived)) => Reason::ListenerClosed,
            (MiniKind::TimeWait, None) if self.expired => Reason::Timer,
            // reqsk_timer_handler() gives up after the last SYN+ACK, or finds the listener closed.
            (MiniKind::Request, None) if self.expired => {
                if self.listens {
                    Reason::TimedOut
                } else {
                    Reason::ListenerClosed
                }
            }
            _ => Reason::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SYN_RECV;

    const TIMEWAIT: MiniClosing = MiniClosing {
        kind: MiniKind::TimeWait,
        state: TIME_WAIT,
        expired: false,
        ended_by: None,
        reset_sent: false,
        listens: false,
    };
    const REQUEST: MiniClosing =
        MiniClosing { kind: MiniKind::Request, state: SYN_RECV, listens: true, ..TIMEWAIT };

    #[test]
    fn every_part_of_the_kernel_has_its_number() {
        for number in 1..=7 {
            #[expect(clippy::as_conversions, reason = "a fieldless enum with explicit numbers")]
            let same = EarlyEnd::from_number(number).map(|end| end as u32);
            assert_eq!(same, Some(number));
        }
        assert_eq!(EarlyEnd::from_number(0), None);
    }

    #[test]
    fn a_timer_that_fires_ends_time_wait_and_gives_up_a_handshake() {
        assert_eq!(MiniClosing { expired: true, ..TIMEWAIT }.reason(), Reason::Timer);
        assert_eq!(MiniClosing { expired: true, ..REQUEST }.reason(), Reason::TimedOut);
        let deserted = MiniClosing { expired: true, listens: false, ..REQUEST };
        assert_eq!(deserted.reason(), Reason::ListenerClosed);
    }

    #[test]
    fn a_segment_reuses_time_wait_and_is_reset_in_fin_wait_2() {
        let ended_by = Some(EarlyEnd::SegmentReceived);
        assert_eq!(MiniClosing { ended_by, ..TIMEWAIT }.reason(), Reason::Reused);
        let fin_wait = MiniClosing { ended_by, state: FIN_WAIT_2, ..TIMEWAIT };
        assert_eq!(fin_wait.reason(), Reason::ResetSent);
        assert_eq!(MiniClosing { ended_by, ..REQUEST }.reason(), Reason::ListenerClosed);
    }

    #[test]
    fn only_data_for_fin_wait_2_come_after_close() {
        let ended_by = Some(EarlyEnd::SegmentReceived);
        let late = MiniClosing { ended_by, state: FIN_WAIT_2, reset_sent: true, ..TIMEWAIT };
        assert!(late.is_by_late_data(true));
        assert!(!late.is_by_late_data(false), "a SYN, or not known");
        assert!(!MiniClosing { reset_sent: false, ..late }.is_by_late_data(true));
        assert!(!MiniClosing { state: TIME_WAIT, ..late }.is_by_late_data(true), "used again");
        assert!(!MiniClosing { ended_by: None, ..late }.is_by_late_data(true));
        assert!(!MiniClosing { kind: MiniKind::Request, ..late }.is_by_late_data(true));
    }

    #[test]
    fn a_handshake_is_reset_by_whoever_sent_the_reset() {
        let reset = MiniClosing { ended_by: Some(EarlyEnd::ResetReceived), ..REQUEST };
        assert_eq!(reset.reason(), Reason::ResetReceived);
        assert_eq!(MiniClosing { reset_sent: true, ..reset }.reason(), Reason::ResetSent);
        let icmp = MiniClosing { ended_by: Some(EarlyEnd::Unreachable), ..REQUEST };
        assert_eq!(icmp.reason(), Reason::Unreachable);
    }

    #[test]
    fn what_is_disarmed_by_something_unknown_ends_unknown() {
        assert_eq!(TIMEWAIT.reason(), Reason::Unknown);
        assert_eq!(REQUEST.reason(), Reason::Unknown);
    }
}
