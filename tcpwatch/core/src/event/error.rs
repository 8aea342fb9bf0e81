//! An error for the application: its record, and what is shown of it.

use tcpwatch_common::SocketError;

use super::{CgroupId, Cookie, Endpoints, KernelTime, Netns, Shown, Subject, TcpState};
use crate::decode::{Decode, DecodeError, Names, address};

/// An error was reported to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEvent {
    /// When.
    pub at: KernelTime,
    /// Which socket.
    pub socket: Cookie,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// The socket's cgroup, where the kernel side names it.
    pub cgroup: Option<CgroupId>,
    /// Its state.
    pub state: TcpState,
    /// A positive errno.
    pub error: u16,
}

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

impl Shown for ErrorEvent {
    const NAME: &'static str = "error";

    fn at(&self) -> KernelTime {
        self.at
    }

    fn subject(&self) -> Subject {
        Subject {
            cgroup: self.cgroup,
            ..Subject::unknown(Some(self.socket), self.netns, self.ends)
        }
    }

    fn touches(&self, state: TcpState) -> bool {
        self.state == state
    }
}
