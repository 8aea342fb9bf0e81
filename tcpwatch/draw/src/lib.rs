//! Draws reports of the laboratory: the atlas (one HTML page) and sequence diagrams (SVG).
//!
//! Everything here is a function of its arguments, except [`target`], which writes files: the same reports give the same
//! bytes.
//!
//! - [`report`]: reads the JSON document of `tcpwatch lab run --report`
//! - [`sequence`]: one run as a sequence diagram; [`lanes`] are its columns of state
//! - [`machine`]: the state machine of RFC 9293 with the transitions that runs have taken
//! - [`atlas`]: the page
//! - [`target`]: a file that is there whole or not at all

#![forbid(unsafe_code)]

pub mod atlas;
mod lanes;
pub mod machine;
pub mod report;
pub mod sequence;
pub mod target;
