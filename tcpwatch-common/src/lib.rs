//! What crosses the border between the kernel side and user space: records, counters, load-time
//! configuration; and what both decide in the same way: why a connection ended.
//!
//! Every type of a record is `repr(C)` with integers and byte arrays only, so that any bytes are a value, and
//! asserts its own size, alignment and tail.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

/// The records, and their tags: calls the macro `$user` with this table.
///
/// A tag is never used for another form, so that recordings of earlier versions are understood.
#[macro_export]
macro_rules! records {
    ($user:ident) => {
        $user! {
            /// A full socket changed its state.
            StateChange = 1,
            /// The timer of a mini-socket.
            MiniSocket = 2,
            /// The same, disarmed early.
            MiniSocketCancel = 3,
            /// A full socket closed, with its totals.
            StateChangeLast = 4,
            /// A segment was sent again.
            Retransmit = 5,
            /// A reset.
            Reset = 6,
            /// An error for the application.
            SocketError = 7,
            /// A segment on a link of the laboratory.
            Segment = 8,
            /// A process that holds a socket.
            Owner = 9,
            /// A request socket's timer is armed.
            RequestStart = 10,
            /// A full socket sent a segment again.
            TimedRetransmit = 11,
        }
    };
}

pub mod awaiting;
pub mod closing;
pub mod config;
pub mod counter;
pub mod counts;
pub mod errno;
pub mod mini_closing;
pub mod mini_socket;
pub mod owner;
pub mod reason;
pub mod record;
pub mod reset;
pub mod retransmit;
pub mod rule;
pub mod seen_socket;
pub mod segment;
pub mod socket_error;
pub mod state;
pub mod state_change;
pub mod totals;
pub mod trial;

pub use awaiting::Awaiting;
pub use closing::Closing;
pub use counter::Counter;
pub use mini_closing::{EarlyEnd, Ending, MiniClosing};
pub use mini_socket::{MiniKind, MiniSocket, MiniSocketCancel, RequestStart, TimerEvent};
pub use owner::{Owner, OwnerTask, OwnerVia};
pub use reason::Reason;
pub use record::{Family, Record, RecordHead, RecordKind};
pub use reset::{Reset, ResetWay};
pub use retransmit::{Retransmit, RetransmitTimes, TimedRetransmit};
pub use rule::{Rule, RuleCount};
pub use seen_socket::SeenSocket;
pub use segment::Segment;
pub use socket_error::SocketError;
pub use state_change::{StateChange, StateChangeV4, StateChangeV6};
pub use totals::{StateChangeLast, Totals};
