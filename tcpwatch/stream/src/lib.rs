//! One run, from the kernel's ring or a recording to what is shown of it.
//!
//! - [`plan`]: what a run is to do
//! - [`pipeline`]: the steps of a live run on one page
//! - [`replay`]: the same from a recording
//! - [`batch`]: what it yields
//! - [`looks`]: looks at the kernel beside it
//! - [`log`]: lines of that, in the output
//! - [`ending`]: the signals that end it

#![deny(unsafe_code)]

pub mod batch;
mod comparison;
pub mod ending;
mod intake;
mod live_recording;
pub mod log;
pub mod looks;
mod losses;
pub mod pipeline;
pub mod plan;
mod questions;
pub mod replay;
mod road;
mod waits;
mod whereabouts;
