//! The laboratory: two hosts in network namespaces of their own, real sockets, real timers.
//!
//! The road of one run:
//!
//! - [`scenario`]: a TOML file becomes steps, rules and expectations
//! - [`explain`]: what there is and what a scenario does, without running it
//! - [`host`]: who the two hosts are
//! - [`lacking`]: what this kernel is too old for
//! - [`hosts`]: their namespaces, links and processes
//! - [`story`]: everything that happened, on one time axis
//! - [`run`]: the steps are done, and what is told becomes a story, with one live log for all runs
//!   ([`observe`], [`audience`])
//! - [`expect`]: the story against the expectations, which makes [`verdict`]s
//! - [`show`]: story and verdicts become what the reader sees

#![deny(unsafe_code)]

pub mod audience;
pub mod catalog;
pub mod expect;
pub mod explain;
pub mod host;
pub mod hosts;
pub mod lacking;
mod nearest;
pub mod observe;
pub mod rehearsal;
pub mod run;
pub mod scenario;
pub mod show;
pub mod story;
pub mod verdict;
