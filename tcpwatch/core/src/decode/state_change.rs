//! [`StateChange`] becomes [`StateEvent`].

use std::{net::IpAddr, time::Duration};

use tcpwatch_common::{
    RecordHead, StateChange, StateChangeLast, StateChangeV4, StateChangeV6, Totals,
    state_change::{
        CLOSING_FLAGS, FLAG_DEAD, FLAG_DONE, FLAG_FAST_OPEN, FLAG_KEPT_BACK, FLAG_LINGER2_OFF,
        FLAG_TASK,
    },
    totals::{SYN_COUNTED, UNDELIVERED_KNOWN, UNDELIVERED_MAX},
};

use super::{DecodeError, address, record};
use crate::event::{
    self, Cookie, KernelTime, Netns, Process, StateEvent, TcpState, Via, process::Comm,
};

pub(super) fn decode(bytes: &[u8], head: &RecordHead) -> Result<StateEvent, DecodeError> {
    if let Some(record) = record::whole::<StateChangeV4>(bytes) {
        return Ok(event(&record, address::v4(record.local), address::v4(record.remote)));
    }
    if let Some(record) = record::whole::<StateChangeV6>(bytes) {
        return Ok(event(&record, address::v6(record.local), address::v6(record.remote)));
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

/// The last change of a socket, with what it has done.
pub(super) fn decode_last(bytes: &[u8], head: &RecordHead) -> Result<StateEvent, DecodeError> {
    let (mut event, totals) = if let Some(record) = record::whole::<StateChangeLast<1>>(bytes) {
        let change = record.change;
        (event(&change, address::v4(change.local), address::v4(change.remote)), record.totals)
    } else if let Some(record) = record::whole::<StateChangeLast<4>>(bytes) {
        let change = record.change;
        (event(&change, address::v6(change.local), address::v6(change.remote)), record.totals)
    } else {
        return Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() });
    };
    event.totals = Some(Box::new(counts(&totals, event.peer_finished)));
    Ok(event)
}

/// The kernel counts the peer's FIN as a byte received (`tcp_rcv_nxt_update` in
/// `net/ipv4/tcp_input.c`), and what was sent again as sent.
fn counts(totals: &Totals, peer_finished: bool) -> event::Totals {
    let micros = |us: u32| Duration::from_micros(us.into());
    event::Totals {
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

fn event<const WORDS: usize>(
    record: &StateChange<WORDS>,
    local: IpAddr,
    remote: IpAddr,
) -> StateEvent {
    let StateChange { head, old, new, error, pid, comm, local: _, remote: _ } = *record;
    let (from, to) = (TcpState::from_kernel(old), TcpState::from_kernel(new));
    StateEvent {
        at: KernelTime(head.at_ns),
        socket: Cookie(head.cookie),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        from,
        to,
        error,
        orphaned: head.flags & FLAG_DEAD != 0,
        peer_finished: head.flags & FLAG_DONE != 0,
        // The kernel's own idle task (0) owns nothing.
        process: (head.flags & FLAG_TASK != 0 && pid != 0).then(|| Process {
            pid,
            comm: Comm::from_kernel(text(comm)),
            via: via(to),
        }),
        no_fin_wait: head.flags & FLAG_LINGER2_OFF != 0,
        fast_open: head.flags & FLAG_FAST_OPEN != 0,
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
    }
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
fn text([first, second]: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let words = first.to_ne_bytes().into_iter().chain(second.to_ne_bytes());
    for (byte, from) in bytes.iter_mut().zip(words) {
        *byte = from;
    }
    bytes
}
