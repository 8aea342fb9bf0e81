//! [`Reset`] becomes [`ResetEvent`].

use tcpwatch_common::{
    Reset,
    reset::{FLAG_NO_SYN, FLAG_REASON, FLAG_SENT},
};

use super::{Decode, DecodeError, Names, address};
use crate::event::{KernelTime, Netns, ResetDirection, ResetEvent, TcpState};

impl<const WORDS: usize> Decode for Reset<WORDS> {
    type Event = ResetEvent;

    fn decode(&self, names: &Names) -> Result<ResetEvent, DecodeError> {
        let Self { head, reason, state, reserved: _, local, remote } = *self;
        let sent = head.flags & FLAG_SENT != 0;
        Ok(ResetEvent {
            at: KernelTime(head.at_ns),
            socket: address::cookie(&head),
            netns: Netns(head.netns),
            ends: address::ends(&head, local, remote),
            cgroup: address::cgroup(&head),
            state: (state != 0).then(|| TcpState::from_kernel(state)),
            direction: if sent { ResetDirection::Sent } else { ResetDirection::Received },
            answers_no_syn: head.flags & FLAG_NO_SYN != 0,
            why: (head.flags & FLAG_REASON != 0).then(|| names.reset_reasons.name(reason)),
        })
    }
}
