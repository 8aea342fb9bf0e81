//! The laboratory: two hosts in network namespaces of their own, real sockets, real timers.
//!
//! The road of one run:
//!
//! - [`scenario`]: a TOML file becomes steps, rules and expectations
//! - [`host`]: who the two hosts are
//! - [`story`]: everything that happened, on one time axis
//! - [`expect`]: the story against the expectations, which makes [`verdict`]s
//! - [`show`]: story and verdicts become what the reader sees

pub mod catalog;
pub mod expect;
pub mod host;
mod nearest;
pub mod scenario;
pub mod show;
pub mod story;
pub mod verdict;
