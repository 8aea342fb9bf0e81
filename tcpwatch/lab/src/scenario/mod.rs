//! A scenario: one claim about TCP, and the steps that make it true. Parsed from TOML, run by `lab/run`.

pub mod expectation;
pub mod expression;
pub mod file;
pub mod step;

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_kernel::probe::DroppedSegments;

use super::host::Host;
pub use expectation::Expectation;
pub use expression::Expression;
pub(crate) use file::MOST_RULES;
pub use file::{Choices, FileError, LOCAL_RTO, read};
pub use step::{Action, Call, CallKind, Condition, ScenarioStep, Shutdown, Signal};

/// A scenario with one profile chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The name by which it is run: the stem of its file.
    pub name: String,
    /// What to give to `lab run` and `lab show`: its name if it is built in, otherwise its file.
    pub word: String,
    /// A few words.
    pub title: String,
    /// What is claimed, in one sentence.
    pub claim: String,
    /// What it teaches.
    pub teaches: String,
    /// Commands that do the same by hand, line by line.
    pub by_hand: Vec<String>,
    /// Per host, names below `/proc/sys/net/ipv4` and their values.
    pub sysctls: BTreeMap<Host, BTreeMap<String, String>>,
    /// Drop rules; the index of a rule is its slot.
    pub rules: Vec<DropRule>,
    /// The steps, in order.
    pub steps: Vec<ScenarioStep>,
    /// The expectations.
    pub expect: Vec<Expectation>,
    /// The sum of the waits that the steps declare: a run takes at least this long.
    pub takes: Duration,
}

/// Drops segments on one host's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropRule {
    /// Its name.
    pub name: String,
    /// The host on whose link it drops.
    pub host: Host,
    /// The segments that it drops.
    pub drops: DroppedSegments,
    /// Whether it is set from the beginning; otherwise a step sets it.
    pub from_start: bool,
}
