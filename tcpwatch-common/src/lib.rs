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
            /// The queues of a half-open connection's listener.
            ListenerQueue = 12,
        }
    };
}

/// The hooks, and their numbers one after the other: calls the macro `$user` with this table.
///
/// Behind a number: the program, its tracepoint, what it reports, what works without it (`Need`), and whether
/// it counts for Prometheus. Hooks without these are no programs on tracepoints, or copies of one.
#[macro_export]
macro_rules! hooks {
    ($user:ident) => {
        $user! {
            /// `inet_sock_set_state`.
            SetState = 0: set_state on inet_sock_set_state
                reports "state changes", Need::Required, counts true;
            /// `timer_start`.
            TimerStart = 1: timer_start on timer_start
                reports "TIME_WAIT, FIN_WAIT_2, SYN_RECV", Need::MiniSockets, counts true;
            /// `timer_cancel`.
            TimerCancel = 2: timer_cancel on timer_cancel
                reports "TIME_WAIT, FIN_WAIT_2, SYN_RECV", Need::MiniSockets, counts true;
            /// `timer_expire_entry`.
            TimerExpire = 3: timer_expire on timer_expire_entry
                reports "TIME_WAIT, FIN_WAIT_2, SYN_RECV", Need::MiniSockets, counts true;
            /// `tcp_retransmit_skb`.
            Retransmit = 4: retransmit on tcp_retransmit_skb
                reports "retries of SYN, FIN and data", Need::Optional(Reads::Retransmits), counts true;
            /// `tcp_retransmit_synack`.
            RetransmitSynAck = 5: retransmit_synack on tcp_retransmit_synack
                reports "retries of SYN+ACK", Need::Optional(Reads::Retransmits), counts true;
            /// `tcp_send_reset`.
            SendReset = 6: send_reset on tcp_send_reset
                reports "resets sent, and why", Need::Optional(Reads::Segments), counts true;
            /// `tcp_receive_reset`.
            ReceiveReset = 7: receive_reset on tcp_receive_reset
                reports "resets received", Need::Optional(Reads::Nothing), counts true;
            /// `inet_sk_error_report`.
            ErrorReport = 8: error_report on inet_sk_error_report
                reports "errors the application sees", Need::Optional(Reads::Nothing), counts false;
            /// Segments that come in on a link of the laboratory.
            TapIn = 9;
            /// Segments that go out there.
            TapOut = 10;
            /// The first copy of `inet_sock_set_state`.
            SetStateSecond = 11;
            /// The second copy.
            SetStateThird = 12;
            /// The third copy.
            SetStateFourth = 13;
            /// The fourth copy.
            SetStateFifth = 14;
            /// `tcp_rcv_space_adjust`.
            Received = 15: received on tcp_rcv_space_adjust
                reports "which process receives and sends", Need::Holders, counts false;
            /// `sock_send_length`.
            Sent = 16: sent on sock_send_length
                reports "which process receives and sends", Need::Holders, counts false;
        }
    };
}

pub mod awaiting;
pub mod books;
pub mod closing;
pub mod config;
pub mod counter;
pub mod counts;
pub mod errno;
pub mod kept_socket;
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
pub use kept_socket::KeptSocket;
pub use listener_queue::ListenerQueue;
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
