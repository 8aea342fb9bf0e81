//! Draws runs of the laboratory: the atlas (one HTML page) and sequence diagrams (SVG).
//!
//! Everything is a function of its arguments, except [`target`], which writes files: the same reports give the same bytes.
//!
//! - [`sequence`]: one run as a sequence diagram, from the rows of the text diagram ([`tcpwatch_lab::show::rows`]); its
//!   parts are [`axis`], [`bands`], [`arrows`], [`notes`], [`timers`]
//! - [`coverage`]: the transitions of RFC 9293 that runs have taken; [`machine`] draws them
//! - [`atlas`]: the page; its parts are [`section`] and [`bar`]
//! - [`pcapng`]: what one host saw of a run, for Wireshark
//! - [`schedule`]: the retransmissions of a run, each in its window
//! - [`time_sequence`]: the bytes of a direction over time, as tcptrace draws them
//! - [`words`]: the words of page and pictures in each language
//! - [`target`]: a file that is there whole or not at all

#![forbid(unsafe_code)]

mod arrows;
pub mod atlas;
mod axis;
mod bands;
mod bar;
pub mod coverage;
mod look;
mod machine;
mod notes;
pub mod pcapng;
pub mod schedule;
mod section;
pub mod sequence;
mod shape;
pub mod target;
#[cfg(test)]
mod tests;
pub mod time_sequence;
mod timers;
mod words;
