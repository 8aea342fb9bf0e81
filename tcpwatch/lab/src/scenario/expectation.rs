//! What a scenario expects of one host. Judged by `lab/expect`.

use tcpwatch_core::{
    event::{ResetDirection, Segment, TcpFlags, TcpState, Way},
    track::{Handshake, Reason},
};

use super::expression::Expression;
use crate::host::Host;

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Of which host.
    pub host: Host,
    /// Of which connection, counted from 1 as they appeared; `None` for all of them.
    pub connection: Option<usize>,
    /// What is expected.
    pub claim: Claim,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A connection goes through exactly these states.
    Path(Vec<TcpState>),
    /// A state is entered, and what becomes of it.
    Stay(Stay),
    /// A state is never entered.
    Never(TcpState),
    /// Something is sent again.
    Retransmits(Retries),
    /// A system call returns.
    Returned(Return),
    /// Segments are seen on the host's link.
    Segments(Segments),
    /// A reset is sent or received; `None` for no reset at all.
    Reset(Option<ResetDirection>),
    /// The clock of a state starts again so often.
    Restarts {
        /// Which state.
        state: TcpState,
        /// How often.
        count: u64,
    },
    /// The handshake is not done in the usual way.
    Handshake(Handshake),
}

/// A stay in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Which state.
    pub state: TcpState,
    /// The how manieth stay in it, from 1.
    pub nth: usize,
    /// How long it lasts.
    pub lasts: Option<Lasts>,
    /// Its time counts from the last start of its clock, not from its beginning.
    pub from_restart: bool,
    /// For how long the kernel sets its timer.
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
    /// Of what.
    pub segment: Segment,
    /// When each is sent, and when the kernel gives up.
    pub schedule: Option<Expression>,
    /// Only so many are looked at, because the scenario ends them.
    pub first: Option<usize>,
    /// How many there are.
    pub count: Option<Expression>,
}

/// The return of a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Which call.
    pub call: String,
    /// The socket's name.
    pub socket: String,
    /// The how manieth return, from 1.
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
    /// Flags that are looked at.
    pub mask: TcpFlags,
    /// How they are set.
    pub value: TcpFlags,
    /// Which way.
    pub way: Way,
    /// How many.
    pub count: Count,
    /// Only those that this rule dropped, by its slot.
    pub dropped_by: Option<usize>,
}

/// How many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    /// Neither more nor less.
    Exactly(Expression),
    /// So many or more.
    AtLeast(Expression),
}
