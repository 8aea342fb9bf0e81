//! News become lines: one form per file, behind [`Sink`](tcpwatch_core::sink::Sink).

#![deny(unsafe_code)]

mod dotted;
pub mod json_lines;
pub mod json_object;
pub mod padded;
pub mod terminal;
mod timestamp;
pub mod words;
