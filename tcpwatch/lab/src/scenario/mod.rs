//! A scenario: one claim about TCP, and how to make it true. Read from TOML, run by `lab/run`.

pub mod expectation;
pub mod expression;
pub mod file;
pub mod step;

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_kernel::probe::Drops;

use super::host::Host;
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
    /// Which segments.
    pub drops: Drops,
    /// It is there from the beginning; otherwise a step sets it.
    pub from_start: bool,
}
