//! A scenario: one claim about TCP, and how to make it true. Read from TOML, run by `lab/run`.

pub mod expectation;
pub mod expression;
pub mod file;
pub mod step;

use std::{collections::BTreeMap, time::Duration};

use super::host::Host;
use crate::event::{TcpFlags, Way};
pub use expectation::Expectation;
pub use expression::Expression;
pub use file::{Choices, FileError, LOCAL_RTO, read};
pub use step::{Action, Call, CallKind, Condition, Shutdown, Signal, Step};

/// A scenario with one profile chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The name it is run by: the stem of its file.
    pub name: String,
    /// The word that `lab run` and `lab show` take for it: its name if it is built in, or its file.
    pub word: String,
    /// A few words.
    pub title: String,
    /// What is claimed, in one sentence.
    pub claim: String,
    /// What it teaches.
    pub teaches: String,
    /// The same by hand: commands, line by line.
    pub by_hand: Vec<String>,
    /// Per host, names below `/proc/sys/net/ipv4` and their values.
    pub sysctls: BTreeMap<Host, BTreeMap<String, String>>,
    /// Packet rules; a rule's place in this list is its slot.
    pub rules: Vec<Rule>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is expected.
    pub expect: Vec<Expectation>,
    /// How long the steps wait, as they say: not less than this will a run take.
    pub takes: Duration,
}

/// Drops segments on one host's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// On whose link.
    pub host: Host,
    /// Those that come in (a loss on the way, which the sender does not notice), or those that go
    /// out (which the sender's TCP notices and which changes its schedule).
    pub way: Way,
    /// Only if the host's own port is this one.
    pub local_port: Option<u16>,
    /// Only if the peer's port is this one.
    pub remote_port: Option<u16>,
    /// Of the flags, those that are looked at.
    pub mask: TcpFlags,
    /// How they must be set.
    pub value: TcpFlags,
    /// Segments that are dropped at most.
    pub count: Option<u32>,
    /// For how long, in nanoseconds from when it is set.
    pub for_ns: Option<u64>,
    /// It is there from the beginning; otherwise a step sets it.
    pub from_start: bool,
}
