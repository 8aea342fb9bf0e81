//! The program: parse, run, exit status.

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::Result;
use clap::Parser as _;
use tcpwatch::{
    cli::{Cli, args::Command, exit, reference},
    glossary,
};
use tcpwatch_lab::hosts::janitor;
use tcpwatch_top::messages::Messages;
use tracing_subscriber::{
    filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

mod check;
mod confine;
mod doctor;
mod drawing;
mod graded;
mod laboratory;
mod list;
mod live;
mod notify;
mod reconstructed;
mod recorded;
mod runtime;
mod serve;
mod top;
mod visible;

/// Where aya warns, for each map, of a kernel whose release it cannot read (`7.3-amd64`, which has no third
/// number). All that follows is that maps have no names in the kernel (`bpf_create_map`, aya 0.14).
const AYA_VERSION: &str = "aya::util";

/// `tcpwatch explain`: a page about a word, or the list of words.
fn explain(word: &str) -> Result<ExitCode> {
    let text = if word.trim().is_empty() { glossary::list() } else { glossary::explain(word)? };
    exit::print(text)?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(|| Messages)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .with_max_level(tracing::Level::WARN)
        .finish()
        .with(filter_fn(|metadata| metadata.target() != AYA_VERSION))
        .init();
    let Cli { command, filters, output, live, web, sandbox } = cli;
    let done = match command {
        None => live::run(&filters, &output, &live, (&web, sandbox)),
        Some(Command::Check) => check::run(),
        Some(Command::List(args)) => list::run(&args),
        Some(Command::Completions { shell }) => reference::completions(shell),
        Some(Command::Manpages { dir, date }) => reference::manpages(&dir, &date),
        Some(Command::Top(args)) => top::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Explain { word }) => explain(&word.join(" ")),
        Some(Command::Lab(command)) => laboratory::run(&command),
        Some(Command::LabPeer(peer)) => return peer.run(),
        Some(Command::LabJanitor) => return janitor::run(),
        Some(Command::SandboxTrial) => confine::trial(),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Replay { file, span, filters, output, sandbox }) => {
            live::replay((&file, &span), &filters, &output, sandbox)
        }
    };
    match done {
        Ok(status) => status,
        Err(error) => exit::report(&error),
    }
}
