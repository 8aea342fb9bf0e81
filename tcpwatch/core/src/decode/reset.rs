//! [`Reset`] becomes [`ResetEvent`].

use std::net::IpAddr;

use tcpwatch_common::{
    RecordHead, Reset,
    reset::{FLAG_REASON, FLAG_SENT},
};

use super::{DecodeError, address, record};
use crate::{
    decode::ResetReasons,
    event::{KernelTime, Netns, ResetDirection, ResetEvent, TcpState},
};

pub(super) fn decode(
    bytes: &[u8],
    head: &RecordHead,
    reasons: &ResetReasons,
) -> Result<ResetEvent, DecodeError> {
    if let Some(record) = record::whole::<Reset<1>>(bytes) {
        return Ok(event(&record, address::v4(record.local), address::v4(record.remote), reasons));
    }
    if let Some(record) = record::whole::<Reset<4>>(bytes) {
        return Ok(event(&record, address::v6(record.local), address::v6(record.remote), reasons));
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

fn event<const WORDS: usize>(
    record: &Reset<WORDS>,
    local: IpAddr,
    remote: IpAddr,
    reasons: &ResetReasons,
) -> ResetEvent {
    let Reset { head, reason, state, .. } = *record;
    let sent = head.flags & FLAG_SENT != 0;
    ResetEvent {
        at: KernelTime(head.at_ns),
        socket: address::cookie(&head),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        cgroup: address::cgroup(&head),
        state: (state != 0).then(|| TcpState::from_kernel(state)),
        direction: if sent { ResetDirection::Sent } else { ResetDirection::Received },
        why: (head.flags & FLAG_REASON != 0).then(|| reasons.name(reason)),
    }
}
