//! The messages between the laboratory and a host's process: one JSON document a line, over a pair of connected stream
//! sockets.

use serde::{Deserialize, Serialize};
use tcpwatch_core::event::KernelTime;

use crate::{scenario::Call, story::SystemCall};

/// To the host's process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HostCommand {
    /// Repeated in the answer.
    pub(super) number: u64,
    /// The call to make.
    pub(super) call: Call,
}

/// From the host's process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum HostMessage {
    /// It is in a network namespace of its own and waits for commands.
    Ready,
    /// It could not be set up; the reason.
    NotReady(String),
    /// A system call that may take long has begun.
    Called(KernelTime, SystemCall),
    /// A system call has returned.
    Returned(KernelTime, SystemCall),
    /// The command with this number is done, or why it could not be.
    Done(u64, Result<(), String>),
}
