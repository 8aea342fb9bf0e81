//! The machine comes in; what tcpwatch and its peers cost on it goes out as a table.
//!
//! `command` is the whole road: cases, rounds, losses, report. A `case` says what is attached while
//! a `workload` makes state changes; `measure` puts the two together. `scrape` is about the page of
//! metrics.

mod bpf;
mod case;
mod command;
mod empty_program;
mod hooks;
mod losses;
mod machine;
mod measure;
mod peers;
mod private_net;
mod proc_files;
mod report;
mod scrape;
mod statistics;
mod table;
mod tool;
mod workload;

pub(crate) use command::{Args, command};
