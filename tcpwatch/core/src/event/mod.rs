//! What happened, in the words of the field. Built by `decode`, read by `track` and `sink`; no I/O.

use std::time::Duration;

pub mod error;
pub mod known;
pub mod listener_queue;
pub mod mini;
pub mod owner;
pub mod process;
pub mod reset;
pub mod reset_reason;
pub mod retransmit;
pub mod segment;
pub mod shown;
pub mod socket;
pub mod state;
pub mod time;
pub mod totals;
pub mod waiter;

pub use error::ErrorEvent;
pub use known::{KnownKind, KnownSocket};
pub use listener_queue::{QueueEvent, QueueReading};
pub use mini::{EarlyEnd, Jiffies, MiniEvent, MiniKind, TimerEvent};
pub use owner::OwnerEvent;
pub use process::{Process, Via};
pub use reset::{ResetDirection, ResetEvent};
pub use retransmit::{RetransmitEvent, SegmentKind, SegmentTimes, Trigger};
pub use segment::{SegmentEvent, TcpFlags, TcpOptions, Way};
pub use shown::{About, Shown, Subject};
pub use socket::{CgroupId, Cookie, Direction, Endpoint, Endpoints, Netns};
pub use state::TcpState;
pub use time::{KernelTime, WallClock};
pub use totals::SocketTotals;
pub use waiter::{SocketTimer, SocketTimerKind, TcpInfo, Waiter};

/// A state change of a full socket, as the kernel reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of the kernel")]
pub struct StateEvent {
    /// When, by the kernel's clock.
    pub at: KernelTime,
    /// Which socket.
    pub socket: Cookie,
    /// In which network namespace.
    pub netns: Netns,
    /// Its two ends.
    pub ends: Endpoints,
    /// The socket's cgroup, where the kernel side names it.
    pub cgroup: Option<CgroupId>,
    /// State that was left.
    pub from: TcpState,
    /// State that was entered.
    pub to: TcpState,
    /// `sk_err` at that moment: a positive errno, 0 for none.
    pub error: u16,
    /// The application had let go of the socket (`SOCK_DEAD`).
    pub orphaned: bool,
    /// The peer's FIN had been received (`SOCK_DONE`).
    pub peer_finished: bool,
    /// The task that made the change by a system call, in recordings of versions that had no records of
    /// owners.
    pub process: Option<Process>,
    /// The application has asked for no FIN_WAIT_2 after `close()` (`TCP_LINGER2` below 0).
    pub no_fin_wait: bool,
    /// Data came before the handshake was done, or the answer to the SYN acknowledged data.
    pub fast_open: bool,
    /// The connection was opened by a SYN cookie (`FLAG_SYN_COOKIE` of [`tcpwatch_common::state_change`]).
    pub syn_cookie: bool,
    /// From SYN_SENT to ESTABLISHED, how long the answer to the SYN took; `None` if that is not known.
    pub round_trip: Option<Duration>,
    /// The timer of the mini-socket that takes over in FIN_WAIT_2 at the same moment: when it was
    /// armed and when it is due.
    pub timer: Option<(Jiffies, Jiffies)>,
    /// The kernel side kept the change back until a port was known.
    pub kept_back: bool,
    /// What the socket has done, with its last change if that was asked for.
    pub totals: Option<Box<SocketTotals>>,
    /// This end sent a reset as it closed, which is reported right after.
    pub reset_sent: bool,
    /// What else is known of a socket that closes: `FLAG_*` of [`tcpwatch_common::state_change`].
    pub closing: u16,
}

impl StateEvent {
    /// A listener that was not bound gets its port after it has entered LISTEN
    /// (`inet_csk_listen_start` in `net/ipv4/inet_connection_sock.c`).
    #[must_use]
    pub fn lacks_its_port(&self) -> bool {
        self.to == TcpState::Listen && self.ends.local.port == 0
    }
}

/// Events that are shown as they come, with what is known of their socket: calls the macro `$user` with this table.
macro_rules! plain_events {
    ($user:ident) => {
        $user! {
            /// The application will see an error.
            Error(ErrorEvent),
        }
    };
}
pub(crate) use plain_events;

/// All events, those of the table above behind the others.
macro_rules! with_plain {
    ($($(#[$what:meta])* $name:ident($event:ident),)*) => {
        events! {
            /// A full socket changed its state.
            State(StateEvent) of cgroup,
            /// The timer of a mini-socket.
            Mini(MiniEvent) of cgroup,
            /// A segment was sent again.
            Retransmit(RetransmitEvent) of cgroup,
            /// A reset was sent or accepted.
            Reset(ResetEvent) of cgroup,
            /// A process was seen to hold a socket.
            Owner(OwnerEvent) of cgroup,
            /// The queues of a half-open connection's listener were read.
            Queue(QueueEvent) of no_cgroup,
            /// A segment passed a link of the laboratory, or was dropped there.
            Segment(SegmentEvent) of no_cgroup,
            $($(#[$what])* $name($event) of cgroup,)*
        }
    };
}

macro_rules! events {
    ($($(#[$what:meta])* $name:ident($event:ident) of $cgroup:tt,)*) => {
        /// What comes out of a source.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$what])* $name($event),)*
        }

        $(
            impl From<$event> for Event {
                fn from(event: $event) -> Self {
                    Self::$name(event)
                }
            }
        )*

        impl Event {
            /// When it happened.
            #[must_use]
            pub const fn at(&self) -> KernelTime {
                match self {
                    $(Self::$name(event) => event.at,)*
                }
            }

            /// The cgroup that it names.
            #[must_use]
            pub const fn cgroup(&self) -> Option<CgroupId> {
                match self {
                    $(Self::$name(event) => events!(@cgroup event $cgroup),)*
                }
            }

            /// Between whom, and in which network namespace.
            #[must_use]
            pub const fn between(&self) -> (Netns, &Endpoints) {
                match self {
                    $(Self::$name(event) => (event.netns, &event.ends),)*
                }
            }
        }
    };
    (@cgroup $event:ident cgroup) => { $event.cgroup };
    (@cgroup $event:ident no_cgroup) => {{
        let _none = $event;
        None
    }};
}
plain_events!(with_plain);
