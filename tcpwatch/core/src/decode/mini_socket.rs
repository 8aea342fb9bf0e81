//! [`MiniSocket`], [`MiniSocketCancel`] and [`RequestStart`] become [`MiniEvent`].

use tcpwatch_common::{
    MiniSocket, MiniSocketCancel, RequestStart,
    mini_socket::{FLAG_LISTENER_CLOSED, FLAG_LISTENS, FLAG_NETNS_GONE, FLAG_NOT_FIRED},
};

use super::{Decode, DecodeError, Names, address};
use crate::event::{
    Cookie, EarlyEnd, Jiffies, KernelTime, MiniEvent, MiniKind, Netns, TcpState, TimerEvent,
};

impl<const WORDS: usize> Decode for MiniSocket<WORDS> {
    type Event = MiniEvent;

    fn decode(&self, _names: &Names) -> Result<MiniEvent, DecodeError> {
        event(self).map(untraced)
    }
}

impl<const WORDS: usize> Decode for RequestStart<WORDS> {
    type Event = MiniEvent;

    /// The start of a half-open connection's timer, with its listener.
    fn decode(&self, _names: &Names) -> Result<MiniEvent, DecodeError> {
        let listener = (self.listener != 0).then_some(Cookie(self.listener));
        Ok(MiniEvent { listener, ..event(&self.mini)? })
    }
}

impl<const WORDS: usize> Decode for MiniSocketCancel<WORDS> {
    type Event = MiniEvent;

    fn decode(&self, names: &Names) -> Result<MiniEvent, DecodeError> {
        let event = event(&self.mini)?;
        let ended_by = event.ended_by.or_else(|| names.symbols.early_end(&self.trace));
        Ok(MiniEvent { ended_by, ..event })
    }
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

fn event<const WORDS: usize>(record: &MiniSocket<WORDS>) -> Result<MiniEvent, DecodeError> {
    let MiniSocket {
        head,
        expires,
        jiffies,
        event,
        mini,
        state,
        retransmits: _,
        listener_dropped,
        local,
        remote,
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
        not_fired: head.flags & FLAG_NOT_FIRED != 0,
        replaces: None,
    })
}
