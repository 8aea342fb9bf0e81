//! [`MiniSocket`] and [`MiniSocketCancel`] become [`MiniEvent`].

use tcpwatch_common::{
    MiniSocket, MiniSocketCancel, RecordHead, RequestStart,
    mini_socket::{FLAG_LISTENER_CLOSED, FLAG_LISTENS, FLAG_NETNS_GONE},
};

use super::{DecodeError, address, record};
use crate::{
    decode::Symbols,
    event::{
        Cookie, EarlyEnd, Jiffies, KernelTime, MiniEvent, MiniKind, Netns, TcpState, TimerEvent,
    },
};

pub(super) fn decode(bytes: &[u8], head: &RecordHead) -> Result<MiniEvent, DecodeError> {
    if let Some(record) = record::whole::<MiniSocket<1>>(bytes) {
        return event(&record, address::v4(record.local), address::v4(record.remote)).map(untraced);
    }
    if let Some(record) = record::whole::<MiniSocket<4>>(bytes) {
        return event(&record, address::v6(record.local), address::v6(record.remote)).map(untraced);
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

/// Of those that are disarmed early, only a half-open connection that is accepted comes without a call
/// stack.
fn untraced(mut event: MiniEvent) -> MiniEvent {
    let early = event.timer == TimerEvent::Cancel && event.tick < event.due;
    if early && event.kind == MiniKind::Request && event.ended_by.is_none() {
        event.ended_by = Some(EarlyEnd::Accepted);
    }
    event
}

/// The start of a half-open connection's timer, with its listener.
pub(super) fn decode_start(bytes: &[u8], head: &RecordHead) -> Result<MiniEvent, DecodeError> {
    let (event, listener) = if let Some(record) = record::whole::<RequestStart<1>>(bytes) {
        let mini = record.mini;
        (event(&mini, address::v4(mini.local), address::v4(mini.remote))?, record.listener)
    } else if let Some(record) = record::whole::<RequestStart<4>>(bytes) {
        let mini = record.mini;
        (event(&mini, address::v6(mini.local), address::v6(mini.remote))?, record.listener)
    } else {
        return Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() });
    };
    Ok(MiniEvent { listener: (listener != 0).then_some(Cookie(listener)), ..event })
}

pub(super) fn decode_cancel(
    bytes: &[u8],
    head: &RecordHead,
    symbols: &Symbols,
) -> Result<MiniEvent, DecodeError> {
    let (event, trace) = if let Some(record) = record::whole::<MiniSocketCancel<1>>(bytes) {
        let mini = record.mini;
        (event(&mini, address::v4(mini.local), address::v4(mini.remote))?, record.trace)
    } else if let Some(record) = record::whole::<MiniSocketCancel<4>>(bytes) {
        let mini = record.mini;
        (event(&mini, address::v6(mini.local), address::v6(mini.remote))?, record.trace)
    } else {
        return Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() });
    };
    let ended_by = event.ended_by.or_else(|| symbols.early_end(&trace));
    Ok(MiniEvent { ended_by, ..event })
}

fn event<const WORDS: usize>(
    record: &MiniSocket<WORDS>,
    local: std::net::IpAddr,
    remote: std::net::IpAddr,
) -> Result<MiniEvent, DecodeError> {
    let MiniSocket {
        head,
        expires,
        jiffies,
        event,
        mini,
        state,
        retransmits: _,
        listener_dropped,
        local: _,
        remote: _,
    } = *record;
    let unknown = |value| DecodeError::Value { kind: head.kind, value };
    let state = match (mini, TcpState::from_kernel(state)) {
        // tcp_time_wait(), net/ipv4/tcp_minisocks.c, makes no others.
        (1, state @ (TcpState::FinWait2 | TcpState::TimeWait)) => state,
        (1, _) => return Err(unknown(state)),
        (_, state) => state,
    };
    Ok(MiniEvent {
        at: KernelTime(head.at_ns),
        socket: address::cookie(&head),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        cgroup: address::cgroup(&head),
        listener: None,
        listener_dropped,
        kind: match mini {
            1 => MiniKind::TimeWait,
            2 => MiniKind::Request,
            other => return Err(unknown(other)),
        },
        state,
        timer: match event {
            1 => TimerEvent::Start,
            2 => TimerEvent::Cancel,
            3 => TimerEvent::Expire,
            other => return Err(unknown(other)),
        },
        due: Jiffies(expires),
        tick: Jiffies(jiffies),
        ended_by: (head.flags & FLAG_NETNS_GONE != 0).then_some(EarlyEnd::NetnsGone),
        listens: match head.flags & (FLAG_LISTENS | FLAG_LISTENER_CLOSED) {
            FLAG_LISTENS => Some(true),
            FLAG_LISTENER_CLOSED => Some(false),
            _ => None,
        },
        replaces: None,
    })
}
