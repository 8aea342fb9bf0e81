//! What a finding says.

use std::time::Duration;

use tcpwatch_core::event::{Cookie, Endpoints, KernelTime, KnownSocket, TcpState, Waiter};

use crate::whose::Whose;

macro_rules! kinds {
    ($($(#[$what:meta])* $name:ident as $word:literal, $title:literal;)*) => {
        /// The kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$what])* $name,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word used in JSON and by `tcpwatch explain`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// What is checked, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}
kinds! {
    /// Connections stay in CLOSE_WAIT.
    CloseWaitLeak as "close_wait_leak", "sockets left in CLOSE_WAIT";
    /// Connections stay in FIN_WAIT_2, and no timer ends that.
    HalfClosed as "half_closed_forever", "sockets left in FIN_WAIT_2 after shutdown()";
    /// Connections wait for `accept()`, or are dropped because too many do.
    AcceptQueue as "accept_queue", "accept queues that are full or not emptied";
    /// More half-open connections than a listener may have.
    SynQueue as "syn_queue_full", "SYN queues that are full, SYN cookies";
    /// SYNs without an answer.
    ConnectUnanswered as "connect_unanswered", "connects without an answer";
    /// SYNs answered by a reset.
    ConnectRefused as "connect_refused", "connects that are refused";
    /// SYNs answered by ICMP.
    ConnectRejected as "connect_rejected", "connects rejected by ICMP";
    /// Local ports run out.
    Ports as "ports_run_out", "local ports running out";
    /// SYN+ACKs do not arrive.
    SynAckLost as "syn_ack_lost", "SYN+ACKs that are lost";
    /// The peer does not read.
    ZeroWindow as "zero_window", "peers that do not read (zero window)";
    /// The application does not read.
    NotRead as "data_not_read", "received data that is not read";
    /// Connections closed with unread data.
    ResetUnread as "reset_unread_data", "resets because of unread data";
    /// Connections closed with `SO_LINGER` 0.
    ResetLinger as "reset_linger_0", "resets by SO_LINGER 0";
    /// Data came for what was closed.
    ResetLateData as "reset_late_data", "resets because data came after close()";
    /// The peer resets.
    ResetReceived as "reset_received", "resets sent by peers";
    /// Segments for a port that is closed.
    NoListener as "no_listener", "peers that connect to a closed port";
    /// Connections that were idle are dead.
    IdleForgotten as "idle_forgotten", "connections lost while idle, and keepalive";
    /// TIME_WAIT was cut short.
    TimeWaitOverflow as "time_wait_overflow", "TIME_WAIT overflow";
    /// A fixed local port is in use.
    TupleInUse as "tuple_in_use", "four-tuples in use";
    /// A sysctl makes what was found worse.
    UnsafeSysctl as "unsafe_sysctl", "sysctls that are unsafe for what is seen";
}

/// How bad it is, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but not as it should.
    Notice,
    /// Some connections fail, or will.
    Warning,
    /// Connections fail now.
    Critical,
}

impl Severity {
    /// The word used in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How sure it is, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It fits; something else fits as well.
    Possible,
    /// Nothing else that is common fits.
    Likely,
    /// The kernel reported it.
    Certain,
}

impl Certainty {
    /// The word used in output.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// A connection that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its cookie; `None` where none is known.
    pub socket: Option<Cookie>,
    /// Its two ends.
    pub ends: Endpoints,
    /// Its state when it was seen; `None` without a socket.
    pub state: Option<TcpState>,
    /// For how long it has been so; at least, where its beginning was not seen.
    pub lasted: Option<Duration>,
    /// What is special about it; may be empty.
    pub note: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// How sure, and why no more than that; the reason may be empty.
    pub certainty: Certainty,
    /// On what the certainty rests.
    pub basis: String,
    /// What, in one sentence.
    pub what: String,
    /// The owner of the connections.
    pub whose: Whose,
    /// Since when; of what was there before, no later than this.
    pub since: Option<KernelTime>,
    /// How many connections, or segments, it is about.
    pub count: u64,
    /// Three connections at most.
    pub examples: Vec<Example>,
    /// What the values of this host say about what to change; before the general advice of the kind.
    pub change: Vec<String>,
}

/// Connections shown of each finding.
pub const EXAMPLES: usize = 3;

impl Finding {
    /// What is known of every finding; the rest is unknown.
    pub(crate) fn new(
        kind: Kind,
        (severity, certainty): (Severity, Certainty),
        count: impl TryInto<u64>,
        whose: Whose,
        what: String,
    ) -> Self {
        let count = count.try_into().unwrap_or(u64::MAX);
        let (basis, examples, change) = (String::new(), Vec::new(), Vec::new());
        Self { kind, severity, certainty, basis, what, whose, since: None, count, examples, change }
    }
}

impl Example {
    /// Nothing but who.
    pub(crate) const fn of(subject: &tcpwatch_core::track::Subject, state: TcpState) -> Self {
        let (socket, ends) = (subject.socket, subject.ends);
        Self { socket, ends, state: Some(state), lasted: None, note: String::new() }
    }

    /// A socket as the kernel was seen to have it, which has been so for `lasted` at least.
    pub(crate) const fn of_waiter(waiter: &Waiter, lasted: Duration, note: String) -> Self {
        let KnownSocket { socket, ends, state, .. } = waiter.known;
        Self { socket: Some(socket), ends, state: Some(state), lasted: Some(lasted), note }
    }
}
