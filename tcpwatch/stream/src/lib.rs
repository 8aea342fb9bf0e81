//! One run, from the kernel's ring or a recording to lines.
//!
//! - [`plan`]: what a run is to do
//! - [`pipeline`]: the steps of a run on one page
//! - [`ending`]: the signals that end it

#![deny(unsafe_code)]

pub mod ending;
pub mod pipeline;
pub mod plan;
mod road;
