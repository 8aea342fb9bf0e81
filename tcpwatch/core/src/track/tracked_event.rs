//! The tracker's output: changes of state, timers started again, retries, resets. Events that are shown
//! unchanged are in `event`.

use std::{sync::Arc, time::Duration};

use super::{Connection, Dropped, Existing, Others, Reason, Still};
use crate::{
    event::{
        self, About, KernelTime, QueueReading, ResetDirection, SegmentEvent, SegmentKind, Shown,
        Subject, TcpState,
    },
    timing::Next,
};

/// A change of a socket's state, with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the change")]
pub struct Change {
    /// When, by the kernel's clock.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// State that was left.
    pub from: TcpState,
    /// State that was entered.
    pub to: TcpState,
    /// How long the left state lasted; `None` if its beginning was not seen.
    pub in_state: Option<Duration>,
    /// Why, on the way to CLOSED.
    pub reason: Option<Reason>,
    /// The socket was reset because data came after the application had closed it.
    pub late_data: bool,
    /// When the kernel's timer will end the entered state, if nothing else does before.
    pub ends_at: Option<KernelTime>,
    /// Learned by asking the kernel: the moment is exact to one of its ticks.
    pub asked: bool,
    /// How the handshake was done, on the way to ESTABLISHED, if not in the usual way.
    pub handshake: Option<Handshake>,
    /// The queues of the listener, where there is something to be said of them.
    pub queue: Option<Box<QueueReading>>,
    /// When a SYN comes through, what its listener has dropped since the one before.
    pub dropped: Option<Dropped>,
    /// The kernel did not report this change when it happened; it follows from what it reported
    /// later.
    pub inferred: bool,
    /// Other states may lie between the two: what would say which was missed.
    pub gap: bool,
}

impl Change {
    /// A change from `from`, entered at `since`, to `to`, about which nothing else is known.
    #[must_use]
    pub fn plain(
        at: KernelTime,
        subject: Subject,
        (from, since): (TcpState, Option<KernelTime>),
        to: TcpState,
    ) -> Self {
        Self {
            at,
            subject,
            from,
            to,
            in_state: since.map(|since| at.since(since)),
            reason: None,
            late_data: false,
            ends_at: None,
            asked: false,
            handshake: None,
            queue: None,
            dropped: None,
            inferred: false,
            gap: false,
        }
    }
}

/// A handshake without a request socket, so that nothing was half-open in the usual way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The SYN brought data, and the server took them.
    FastOpen,
    /// The kernel kept no state until the final ACK: how long that took is not known.
    SynCookie,
}

impl Handshake {
    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FastOpen => "fast_open",
            Self::SynCookie => "syn_cookie",
        }
    }
}

/// The kernel started the timer of a state, again or at last; the state stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// The state.
    pub state: TcpState,
    /// How long it had lasted by then.
    pub in_state: Option<Duration>,
    /// When the timer will end it now.
    pub ends_at: Option<KernelTime>,
    /// It had no timer before: a socket was in FIN_WAIT_2 after `shutdown()`, and now the application has
    /// closed it.
    pub starts: bool,
    /// Not reported when it happened: it follows from the end.
    pub inferred: bool,
}

/// A segment was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedRetransmit {
    /// When.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// In which state.
    pub state: TcpState,
    /// What was sent.
    pub segment: SegmentKind,
    /// Which one without an answer, from 1.
    pub attempt: u32,
    /// No timer ran out: a tail loss probe, a fast retransmission, or a SYN that came again.
    pub early: bool,
    /// Time since the segment was sent last, if that was seen.
    pub since_last: Option<Duration>,
    /// The timeout that has passed, as the kernel set it.
    pub expected: Option<Duration>,
    /// What follows if no answer comes.
    pub next: Option<Next>,
    /// Of a SYN, after how many attempts the kernel gives up.
    pub most: Option<u32>,
    /// The network below took it.
    pub sent: bool,
    /// Of a half-open connection, the queues of the listener, where there is something to be said of them.
    pub queue: Option<Box<QueueReading>>,
}

/// A reset was sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedReset {
    /// When.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// In which state; `None` without a socket.
    pub state: Option<TcpState>,
    /// Which way.
    pub direction: ResetDirection,
    /// The kernel's reason, where it reports one.
    pub why: Option<Arc<str>>,
}

macro_rules! shown {
    ($($(#[$what:meta])* $name:ident($event:ty),)*) => {
        /// An event with what the tracker knows about its socket: one line of the log.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum TrackedEvent {
            $($(#[$what])* $name($event),)*
        }

        impl TrackedEvent {
            /// The word that names it: `event` in JSON.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => <$event>::NAME,)*
                }
            }

            /// When it happened; of a connection's life, when its last trace was gone.
            #[must_use]
            pub fn at(&self) -> KernelTime {
                match self {
                    $(Self::$name(event) => event.at(),)*
                }
            }

            /// The socket that it concerns; empty for a segment on a link, which is of no socket.
            #[must_use]
            pub fn subject(&self) -> Subject {
                match self {
                    $(Self::$name(event) => event.subject(),)*
                }
            }

            /// Is it marked as inferred?
            #[must_use]
            pub fn is_inferred(&self) -> bool {
                match self {
                    $(Self::$name(event) => event.is_inferred(),)*
                }
            }

            /// Does it concern this state?
            #[must_use]
            pub fn touches(&self, state: TcpState) -> bool {
                match self {
                    $(Self::$name(event) => event.touches(state),)*
                }
            }
        }
    };
}

/// All of them, those that are shown as they come behind the others.
macro_rules! with_plain {
    ($($(#[$what:meta])* $name:ident($event:ident),)*) => {
        shown! {
            /// A change of state.
            Change(Change),
            /// A socket that existed before.
            Existing(Existing),
            /// A socket that stays in a state.
            Still(Box<Still>),
            /// More of one kind that do.
            Others(Others),
            /// A clock that started again.
            Restart(Restart),
            /// A segment that was sent again.
            Retransmit(TrackedRetransmit),
            /// A reset.
            Reset(TrackedReset),
            /// A connection whose last trace is gone.
            Connection(Box<Connection>),
            /// A segment on a link of the laboratory.
            Segment(Box<SegmentEvent>),
            $($(#[$what])* $name(About<event::$event>),)*
        }
    };
}
event::plain_events!(with_plain);

/// For an event with these fields.
macro_rules! is_shown {
    ($event:ident as $name:literal, touches($it:ident, $state:ident) $touches:expr $(, inferred $inferred:ident)?) => {
        impl Shown for $event {
            const NAME: &'static str = $name;

            fn at(&self) -> KernelTime {
                self.at
            }

            fn subject(&self) -> Subject {
                self.subject
            }

            fn touches(&self, $state: TcpState) -> bool {
                let $it = self;
                $touches
            }

            $(fn is_inferred(&self) -> bool {
                self.$inferred
            })?
        }
    };
}
is_shown!(Change as "state", touches(it, state) it.from == state || it.to == state, inferred inferred);
is_shown!(Existing as "existing", touches(it, state) it.state == state);
is_shown!(Restart as "restart", touches(it, state) it.state == state, inferred inferred);
is_shown!(TrackedRetransmit as "retransmit", touches(it, state) it.state == state);
is_shown!(TrackedReset as "reset", touches(it, state) it.state == Some(state));
is_shown!(Connection as "connection", touches(it, state) it.spent.time_in(state).is_some());
is_shown!(Still as "still", touches(it, state) it.state == state);

impl Shown for Others {
    const NAME: &'static str = Still::NAME;

    fn at(&self) -> KernelTime {
        self.at
    }

    fn subject(&self) -> Subject {
        Self::subject(self)
    }

    fn touches(&self, state: TcpState) -> bool {
        self.state == state
    }
}
