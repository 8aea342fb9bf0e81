//! `cargo xtask COMMAND`: set-up, builds and tests of tcpwatch.
//!
//! Exit status: 0 done; 1 something failed while running; 2 wrong usage; 3 the machine lacks something, and the error
//! gives the commands that install it. `run` passes on the exit status of tcpwatch.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool for developers"
)]

mod atlas;
mod bench;
mod cargo;
mod check;
mod debian;
mod demo;
mod dist;
mod ebpf;
#[cfg(test)]
mod links;
#[cfg(test)]
mod names;
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
struct XtaskCli {
    #[command(subcommand)]
    command: XtaskCommand,
}

#[derive(Debug, Subcommand)]
enum XtaskCommand {
    /// Find what is missing to build the kernel side, and install it
    Setup,
    /// Build the kernel side alone and print where the object is
    Ebpf,
    /// Build tcpwatch and run it on port 11111, with demo traffic to watch
    Run(run::RunArgs),
    /// Format, clippy, unit tests: run it after every change
    Check,
    /// Make the files of a release: archive, Debian package, container image, bill of materials, sums
    Dist(dist::DistArgs),
    /// Run the tests, all tiers or the named ones
    Test(tiers::TestArgs),
    /// Run every scenario of the laboratory on this kernel and draw the atlas (as root)
    Atlas(atlas::AtlasArgs),
    /// Measure what tcpwatch costs, beside the floor and its peers (as root)
    ///
    /// Measures what a state change costs, which takes 6 minutes and with the peers 8, or the sections
    /// that are named; with `--all --peers` a quarter of an hour.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    match start(&XtaskCli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<Precondition>() { 3 } else { 1 })
        }
    }
}

fn start(task: &XtaskCommand) -> Result<ExitCode> {
    match task {
        XtaskCommand::Setup => setup::command(),
        XtaskCommand::Ebpf => ebpf::command(),
        XtaskCommand::Run(args) => run::command(args),
        XtaskCommand::Check => check::command(),
        XtaskCommand::Dist(args) => dist::command(args),
        XtaskCommand::Test(args) => tiers::command(args),
        XtaskCommand::Atlas(args) => atlas::command(args),
        XtaskCommand::Bench(args) => bench::command(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_are_in_each_others_way() {
        <XtaskCli as clap::CommandFactory>::command().debug_assert();
    }
}
