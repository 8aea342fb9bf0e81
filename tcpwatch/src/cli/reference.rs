//! Completions for shells and manual pages, made from the definition of the command line.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, exit};

/// `tcpwatch completions`: prints the completions for a shell.
///
/// # Errors
/// If stdout cannot be written.
pub fn completions(shell: Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tcpwatch", &mut script);
    exit::print(script)?;
    Ok(ExitCode::SUCCESS)
}

/// `tcpwatch manpages`: writes `tcpwatch.1` and a page for each command, `tcpwatch-lab-run.1`, into a directory.
///
/// # Errors
/// If a page cannot be written.
pub fn manpages(dir: &Path) -> Result<ExitCode> {
    let command = Cli::command().disable_help_subcommand(true);
    let written = clap_mangen::generate_to(command, dir);
    written.with_context(|| format!("cannot write manual pages to {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
