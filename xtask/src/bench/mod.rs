//! Measures what tcpwatch and its peers cost on this machine, as tables.
//!
//! `command` runs the sections. `changes` is the first one: a `case` defines what is attached while a `workload` makes
//! state changes, and `measure` combines the two. Each of the others is in the file or folder of its name.

mod bpf;
mod case;
mod changes;
mod command;
mod connections;
mod empty_program;
mod growth;
mod hooks;
mod instructions;
mod losses;
mod machine;
mod measure;
mod peers;
mod private_net;
mod proc_files;
mod report;
mod scrape;
mod start;
mod statistics;
mod table;
mod tool;
mod workload;

pub(crate) use command::{BenchArgs, command};
