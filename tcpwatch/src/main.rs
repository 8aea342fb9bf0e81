//! The program: parse, run, exit status.

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tcpwatch::{
    cli::{Cli, args::Command, exit},
    lab::hosts::janitor,
    probe::features,
};
use tokio::runtime::{Builder, Runtime};

mod check;
mod laboratory;
mod live;
mod serve;
mod visible;

/// Every command that waits does so on one thread.
fn runtime() -> Result<Runtime> {
    features::demand_open_files()?;
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .with_max_level(tracing::Level::WARN)
        .init();
    let done = match cli.command {
        None => live::run(&cli.filters, &cli.output, &cli.live, &cli.web),
        Some(Command::Check) => check::run(),
        Some(Command::Lab(command)) => laboratory::run(&command),
        Some(Command::LabPeer(peer)) => return peer.run(),
        Some(Command::LabJanitor) => return janitor::run(),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Replay { file, filters, output }) => live::replay(&file, &filters, &output),
    };
    match done {
        Ok(status) => status,
        Err(error) => exit::report(&error),
    }
}
