//! What is wrong with the TCP connections of a host, judged from what a run yields: events, losses, and looks at the
//! kernel. Pure: no clock, no I/O; the same input gives the same findings, live and from a recording.
//!
//! - [`doctor`]: takes what a run yields, hands out findings
//! - [`finding`]: what a finding says
//! - [`whose`]: whose connections it is about
//! - [`advice`]: causes, what to check and what to change, by kind of finding
//! - [`seen`]: what all checks share
//! - [`span`]: spans of time in sentences
//! - `checks`: one file per kind of finding

#![deny(unsafe_code)]

pub mod advice;
mod bounded;
mod checks;
pub mod doctor;
mod filled;
pub mod finding;
pub mod seen;
pub mod span;
pub mod whose;

pub use advice::Advice;
pub use doctor::Doctor;
pub use finding::{Certainty, Example, Finding, FindingKey, Kind, Severity};
pub use span::Span;
pub use whose::Whose;
