//! The laboratory: two hosts in network namespaces of their own, real sockets, real timers.
//!
//! The parts of the laboratory:
//!
//! - [`scenario`]: parses a TOML file into steps, rules and expectations
//! - [`explain`]: describes scenarios without running them
//! - [`language`]: the texts of scenarios in other languages
//! - [`course`]: exercises, and answers that are graded by a run
//! - [`host`]: the names and addresses of the two hosts
//! - [`lacking`]: the sysctls that this kernel is too old for
//! - [`hosts`]: their namespaces, links and processes
//! - [`story`]: everything that happened, on one time axis
//! - [`run`]: does the steps and collects events into a story, with one live log for all runs ([`observe`],
//!   [`audience`])
//! - [`expect`]: judges the story by the expectations, which gives [`verdict`]s
//! - [`show`]: formats story and verdicts
//! - [`reconstruct`]: writes a scenario that makes the same happen as a recording
//! - [`report`]: reads runs back from the JSON document that `show` has written

#![deny(unsafe_code)]

pub mod audience;
pub mod catalog;
pub mod course;
pub mod expect;
pub mod explain;
pub mod host;
pub mod hosts;
pub mod lacking;
pub mod language;
mod nearest;
pub mod observe;
pub mod reconstruct;
pub mod rehearsal;
pub mod report;
pub mod run;
pub mod scenario;
pub mod show;
pub mod story;
pub mod verdict;
