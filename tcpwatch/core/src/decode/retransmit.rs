//! [`Retransmit`] and [`TimedRetransmit`] become [`RetransmitEvent`].

use std::time::Duration;

use tcpwatch_common::{
    Retransmit, RetransmitTimes, TimedRetransmit,
    retransmit::{
        FLAG_COUNTED, FLAG_NOT_SENT, FLAG_ORPHAN, FLAG_REQUEST, FLAG_SYN_CAME_AGAIN, TCP_ACK,
        TCP_FIN, TCP_SYN,
    },
};

use super::{Decode, DecodeError, Names, address};
use crate::event::{
    Jiffies, KernelTime, Netns, RetransmitEvent, SegmentKind, SegmentTimes, TcpState, Trigger,
};

impl<const WORDS: usize> Decode for Retransmit<WORDS> {
    type Event = RetransmitEvent;

    fn decode(&self, _names: &Names) -> Result<RetransmitEvent, DecodeError> {
        Ok(event(self))
    }
}

impl<const WORDS: usize> Decode for TimedRetransmit<WORDS> {
    type Event = RetransmitEvent;

    /// The same with the times of the segment.
    fn decode(&self, _names: &Names) -> Result<RetransmitEvent, DecodeError> {
        Ok(RetransmitEvent { times: Some(segment_times(&self.times)), ..event(&self.again) })
    }
}

fn segment_times(times: &RetransmitTimes) -> SegmentTimes {
    let RetransmitTimes { sent_before_ns, due, jiffies, seq, reserved: _ } = *times;
    SegmentTimes {
        sent_before: (sent_before_ns != 0).then_some(KernelTime(sent_before_ns)),
        due: Jiffies(due),
        tick: Jiffies(jiffies),
        seq,
    }
}

fn event<const WORDS: usize>(record: &Retransmit<WORDS>) -> RetransmitEvent {
    let Retransmit {
        head,
        rto,
        user_timeout_ms,
        total: _,
        state,
        segment,
        timeouts,
        syn_retries,
        local,
        remote,
    } = *record;
    let has = |flag| head.flags & flag != 0;
    let user_timeout = Duration::from_millis(user_timeout_ms.into());
    RetransmitEvent {
        at: KernelTime(head.at_ns),
        socket: address::cookie(&head),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        cgroup: address::cgroup(&head),
        state: TcpState::from_kernel(state),
        segment: match segment {
            flags if flags & TCP_SYN != 0 && flags & TCP_ACK != 0 => SegmentKind::SynAck,
            flags if flags & TCP_SYN != 0 => SegmentKind::Syn,
            flags if flags & TCP_FIN != 0 => SegmentKind::Fin,
            _ => SegmentKind::Data,
        },
        trigger: match timeouts {
            _ if has(FLAG_SYN_CAME_AGAIN) => Trigger::SynCameAgain,
            in_a_row if has(FLAG_REQUEST) => Trigger::RequestTimeout { in_a_row },
            0 => Trigger::Early { rto },
            in_a_row => Trigger::Timeout { in_a_row, rto },
        },
        user_timeout: (!user_timeout.is_zero()).then_some(user_timeout),
        syn_retries: (syn_retries != 0).then_some(syn_retries),
        orphan: has(FLAG_ORPHAN),
        sent: !has(FLAG_NOT_SENT),
        counted: has(FLAG_COUNTED),
        timer: None,
        times: None,
    }
}
