//! What a scenario expects of one host. `lab/expect` judges it.

use tcpwatch_core::{
    event::{ResetDirection, SegmentKind, TcpFlags, TcpState, Way},
    track::{Handshake, Reason},
};

use super::expression::Expression;
use crate::host::Host;

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The host that it concerns.
    pub host: Host,
    /// The connection that it concerns, counted from 1 as they appear; `None` for all connections.
    pub connection: Option<usize>,
    /// What is expected.
    pub claim: Claim,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A connection goes through exactly these states.
    Path(Vec<TcpState>),
    /// A connection goes through these states first.
    Beginning(Vec<TcpState>),
    /// A state is entered, and how long the stay in it lasts and how it ends.
    Stay(ExpectedStay),
    /// A state is never entered.
    Never(TcpState),
    /// A segment is retransmitted.
    Retransmits(Retries),
    /// A system call returns.
    Returned(Return),
    /// Segments are seen on the host's link.
    Segments(Segments),
    /// A reset is sent or received; `None` for no reset at all.
    Reset(Option<ResetDirection>),
    /// The clock of a state is restarted this often.
    Restarts {
        /// The state.
        state: TcpState,
        /// The number of restarts.
        count: u64,
    },
    /// The handshake is completed in an unusual way.
    Handshake(Handshake),
}

/// A stay in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedStay {
    /// The state.
    pub state: TcpState,
    /// Which of the stays in this state, from 1.
    pub nth: usize,
    /// How long it lasts.
    pub lasts: Option<Lasts>,
    /// Its time counts from the last restart of its clock, not from its beginning.
    pub from_restart: bool,
    /// The timeout to which the kernel sets its timer.
    pub timer: Option<Expression>,
    /// Why it ends.
    pub ends: Option<Reason>,
    /// The state after it.
    pub then: Option<TcpState>,
}

/// How long a state lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// As long as the run.
    ToTheEnd,
    /// A time.
    Time(Expression),
}

/// Retransmissions of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// The segment.
    pub segment: SegmentKind,
    /// When each is sent, and when the kernel gives up.
    pub schedule: Option<Expression>,
    /// Only this many are judged, because the scenario ends them.
    pub first: Option<usize>,
    /// Their number.
    pub count: Option<Expression>,
}

/// The return of a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The name of the call.
    pub call: String,
    /// The socket's name.
    pub socket: String,
    /// Which of its returns, from 1.
    pub nth: usize,
    /// What it returns.
    pub result: CallResult,
    /// How long it takes.
    pub takes: Option<Expression>,
}

/// What a system call returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// No error.
    Ok,
    /// This number.
    Value(i64),
    /// This error.
    Error(String),
}

/// Segments on a host's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The flags that are compared.
    pub mask: TcpFlags,
    /// Their values.
    pub value: TcpFlags,
    /// The direction.
    pub way: Way,
    /// Their number.
    pub count: SegmentCount,
    /// Only those with a window of zero.
    pub zero_window: bool,
    /// Only those that this rule dropped, by its slot.
    pub dropped_by: Option<usize>,
}

/// A number of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentCount {
    /// This number.
    Exactly(Expression),
    /// This number or more.
    AtLeast(Expression),
}
