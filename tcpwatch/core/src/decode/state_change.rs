//! [`StateChange`] becomes [`StateEvent`].

use std::time::Duration;

use tcpwatch_common::{
    StateChange, StateChangeLast, Totals,
    state_change::{
        CLOSING_FLAGS, FLAG_DEAD, FLAG_DONE, FLAG_FAST_OPEN, FLAG_KEPT_BACK, FLAG_LINGER2_OFF,
        FLAG_SYN_COOKIE, FLAG_TASK,
    },
    totals::{SYN_COUNTED, UNDELIVERED_KNOWN, UNDELIVERED_MAX},
};

use super::{Decode, DecodeError, Names, address};
use crate::event::{self, KernelTime, Netns, Process, StateEvent, TcpState, Via, process::Comm};

impl<const WORDS: usize> Decode for StateChange<WORDS> {
    type Event = StateEvent;

    fn decode(&self, _names: &Names) -> Result<StateEvent, DecodeError> {
        event(self)
    }
}

impl<const WORDS: usize> Decode for StateChangeLast<WORDS> {
    type Event = StateEvent;

    /// The last change of a socket, with what it has done.
    fn decode(&self, _names: &Names) -> Result<StateEvent, DecodeError> {
        let mut event = event(&self.change)?;
        event.totals = Some(Box::new(counts(&self.totals, event.peer_finished)));
        Ok(event)
    }
}

/// The kernel counts the peer's FIN as a byte received (`tcp_rcv_nxt_update` in
/// `net/ipv4/tcp_input.c`), and what was sent again as sent.
fn counts(totals: &Totals, peer_finished: bool) -> event::SocketTotals {
    let micros = |us: u32| Duration::from_micros(us.into());
    event::SocketTotals {
        sent: totals.bytes_sent.saturating_sub(totals.bytes_retransmitted),
        syn_counted: totals.undelivered & SYN_COUNTED != 0,
        undelivered: (totals.undelivered & UNDELIVERED_KNOWN != 0)
            .then_some(totals.undelivered & UNDELIVERED_MAX),
        received: totals.bytes_received.saturating_sub(peer_finished.into()),
        retransmits: totals.retransmits,
        srtt: (totals.srtt_us_8 != 0).then(|| micros(totals.srtt_us_8 / 8)),
        min_rtt: (totals.min_rtt_us != u32::MAX).then(|| micros(totals.min_rtt_us)),
    }
}

fn event<const WORDS: usize>(record: &StateChange<WORDS>) -> Result<StateEvent, DecodeError> {
    let StateChange { head, old, new, error, pid, comm, local, remote } = *record;
    let (from, to) = (TcpState::from_kernel(old), TcpState::from_kernel(new));
    Ok(StateEvent {
        at: KernelTime(head.at_ns),
        socket: address::socket(&head)?,
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        cgroup: address::cgroup(&head),
        from,
        to,
        error,
        orphaned: head.flags & FLAG_DEAD != 0,
        peer_finished: head.flags & FLAG_DONE != 0,
        // The kernel's own idle task (0) owns nothing.
        process: (head.flags & FLAG_TASK != 0 && pid != 0)
            .then(|| Process::named(pid, Comm::from_kernel(text(comm)), via(to))),
        no_fin_wait: head.flags & FLAG_LINGER2_OFF != 0,
        fast_open: head.flags & FLAG_FAST_OPEN != 0,
        syn_cookie: (from, to) == (TcpState::SynRecv, TcpState::Established)
            && head.flags & FLAG_SYN_COOKIE != 0,
        round_trip: (from == TcpState::SynSent
            && to == TcpState::Established
            && head.flags & FLAG_TASK == 0
            && pid != 0)
            .then(|| Duration::from_micros(pid.into())),
        timer: None,
        kept_back: head.flags & FLAG_KEPT_BACK != 0,
        totals: None,
        reset_sent: false,
        closing: head.flags & CLOSING_FLAGS,
    })
}

/// The system call that enters a state.
const fn via(to: TcpState) -> Via {
    match to {
        TcpState::SynSent => Via::Connect,
        TcpState::Listen => Via::Listen,
        _ => Via::Close,
    }
}

/// The bytes of a name, as they lie in memory.
pub(super) fn text([first, second]: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let words = first.to_ne_bytes().into_iter().chain(second.to_ne_bytes());
    for (byte, from) in bytes.iter_mut().zip(words) {
        *byte = from;
    }
    bytes
}
