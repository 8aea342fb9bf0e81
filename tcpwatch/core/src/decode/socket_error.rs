//! [`SocketError`] becomes [`ErrorEvent`].

use std::net::IpAddr;

use tcpwatch_common::{RecordHead, SocketError};

use super::{DecodeError, address, record};
use crate::event::{Cookie, ErrorEvent, KernelTime, Netns, TcpState};

pub(super) fn decode(bytes: &[u8], head: &RecordHead) -> Result<ErrorEvent, DecodeError> {
    if let Some(record) = record::whole::<SocketError<1>>(bytes) {
        return event(&record, address::v4(record.local), address::v4(record.remote));
    }
    if let Some(record) = record::whole::<SocketError<4>>(bytes) {
        return event(&record, address::v6(record.local), address::v6(record.remote));
    }
    Err(DecodeError::Length { kind: head.kind, bytes: bytes.len() })
}

fn event<const WORDS: usize>(
    record: &SocketError<WORDS>,
    local: IpAddr,
    remote: IpAddr,
) -> Result<ErrorEvent, DecodeError> {
    let SocketError { head, error, state, .. } = *record;
    if error == 0 {
        return Err(DecodeError::Value { kind: head.kind, value: 0 });
    }
    Ok(ErrorEvent {
        at: KernelTime(head.at_ns),
        socket: Cookie(head.cookie),
        netns: Netns(head.netns),
        ends: address::ends(&head, local, remote),
        cgroup: address::cgroup(&head),
        state: TcpState::from_kernel(state),
        error: u16::try_from(error).unwrap_or(u16::MAX),
    })
}
