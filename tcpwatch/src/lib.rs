//! The command line of tcpwatch: what was typed, and what is meant ([`cli`]).

#![deny(unsafe_code)]

pub mod cli;
