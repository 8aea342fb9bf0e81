//! The command line of tcpwatch: what was typed and what is meant ([`cli`]), and what every word of the
//! output means ([`glossary`]).

#![deny(unsafe_code)]

pub mod cli;
pub mod glossary;
