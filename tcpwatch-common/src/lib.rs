//! What crosses the border between the kernel side and user space: records, counters, load-time
//! configuration; and what both decide in the same way: why a connection ended.
//!
//! Every type of a record is `repr(C)` with integers and byte arrays only, so that any bytes are a value, and
//! asserts its own size, alignment and tail.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

pub mod awaiting;
pub mod closing;
pub mod config;
pub mod counter;
pub mod counts;
pub mod errno;
pub mod listener_queue;
pub mod mini_clock;
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
pub use listener_queue::ListenerQueue;
pub use mini_closing::{EarlyEnd, Ending, MiniClosing};
pub use mini_socket::{MiniKind, MiniSocket, MiniSocketCancel, RequestStart, TimerEvent};
pub use owner::{Owner, OwnerTask, OwnerVia};
pub use reason::Reason;
pub use record::{Family, RecordHead, RecordKind};
pub use reset::{Reset, ResetWay};
pub use retransmit::{Retransmit, RetransmitTimes, TimedRetransmit};
pub use rule::{Rule, RuleCount};
pub use seen_socket::SeenSocket;
pub use segment::Segment;
pub use socket_error::SocketError;
pub use state_change::{StateChange, StateChangeV4, StateChangeV6};
pub use totals::{StateChangeLast, Totals};
