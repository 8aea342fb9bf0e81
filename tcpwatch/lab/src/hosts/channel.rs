//! What the laboratory and a host's process say to each other: one JSON document a line, over a
//! pair of connected stream sockets.

use serde::{Deserialize, Serialize};
use tcpwatch_core::event::KernelTime;

use crate::{scenario::Call, story::SystemCall};

/// To the process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Comes back with the answer.
    pub(super) number: u64,
    /// What is to be called.
    pub(super) call: Call,
}

/// From the process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// It is in a network namespace of its own and waits for orders.
    Ready,
    /// It is not; why.
    NotReady(String),
    /// A system call that may take long began.
    Called(KernelTime, SystemCall),
    /// A system call returned.
    Returned(KernelTime, SystemCall),
    /// A step is done, or why it could not be.
    Done(u64, Result<(), String>),
}
