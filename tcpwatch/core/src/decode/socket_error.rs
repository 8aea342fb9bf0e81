//! [`SocketError`] becomes [`ErrorEvent`].

use tcpwatch_common::SocketError;

use super::{Decode, DecodeError, Names, address};
use crate::event::{ErrorEvent, KernelTime, Netns, TcpState};

impl<const WORDS: usize> Decode for SocketError<WORDS> {
    type Event = ErrorEvent;

    fn decode(&self, _names: &Names) -> Result<ErrorEvent, DecodeError> {
        let Self { head, error, state, reserved: _, local, remote } = *self;
        if error == 0 {
            return Err(DecodeError::Value { kind: head.kind, value: 0 });
        }
        Ok(ErrorEvent {
            at: KernelTime(head.at_ns),
            socket: address::socket(&head)?,
            netns: Netns(head.netns),
            ends: address::ends(&head, local, remote),
            cgroup: address::cgroup(&head),
            state: TcpState::from_kernel(state),
            error: u16::try_from(error).unwrap_or(u16::MAX),
        })
    }
}
