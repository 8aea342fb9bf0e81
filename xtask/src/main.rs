//! `cargo xtask COMMAND`: what a developer types comes in, an exit status goes out.
//!
//! 0 done; 1 something failed while running; 2 wrong usage; 3 the machine lacks something, with
//! the commands that bring it. `run` passes on the exit status of tcpwatch.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool of our own")]

mod bench;
mod cargo;
mod check;
mod debian;
mod demo;
mod ebpf;
#[cfg(test)]
mod links;
mod precondition;
mod privilege;
mod reruns;
mod run;
mod setup;
mod tiers;
mod vm;
#[cfg(test)]
mod walls;
mod watched;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::precondition::Precondition;

/// Set-up, builds and tests of tcpwatch.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find what is missing to build the kernel side, and install it
    Setup,
    /// Build the kernel side alone and print where the object is
    Ebpf,
    /// Build tcpwatch and run it on port 11111, with demo traffic to look at
    Run(run::Args),
    /// Format, clippy, unit tests: what is looked at after every change
    Check,
    /// Run the tests, all tiers or the named ones
    Test(tiers::Args),
    /// Measure what tcpwatch costs, beside the floor and its peers (as root)
    ///
    /// Measures what a state change costs, which takes 6 minutes and with the peers 8, or the sections
    /// that are named; with `--all --peers` a quarter of an hour.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match start(&Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<Precondition>() { 3 } else { 1 })
        }
    }
}

fn start(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Setup => setup::command(),
        Task::Ebpf => ebpf::command(),
        Task::Run(args) => run::command(args),
        Task::Check => check::command(),
        Task::Test(args) => tiers::command(args),
        Task::Bench(args) => bench::command(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_are_in_each_others_way() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
