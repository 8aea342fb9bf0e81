//! How a run ends: the exit status and, if it failed, its message.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::glossary;
use tcpwatch_kernel::{
    probe::ProbeError,
    source::{
        containers::{AmbiguousContainer, ContainerError},
        snapshot::{self, SkippedNamespace, SnapshotError},
    },
};
use tcpwatch_lab::{
    catalog, course::CourseError, hosts::HostsError, lacking::Lacking,
    reconstruct::ReconstructError, scenario::FileError,
};
use tcpwatch_metrics::web::{BindError, ConfigError};
use tcpwatch_sandbox::SandboxError;
use tcpwatch_top::messages::Messages;

/// It failed while running.
const FAILED: u8 = 1;
/// Wrong usage; clap uses the same number.
const USAGE: u8 = 2;
/// This machine lacks something.
pub const PRECONDITION: u8 = 3;

/// `tcpwatch top` needs a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tcpwatch top draws on a terminal, and standard output is none; `tcpwatch list` prints what is now, \
     and `tcpwatch` what happens"
)]
pub struct NoTerminal;

/// The exit status for an error.
#[must_use]
pub fn status(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let is_usage = error.is::<snapshot::NetnsError>()
        || error.is::<ContainerError>()
        || error.is::<AmbiguousContainer>()
        || error.is::<catalog::UnknownScenario>()
        || error.is::<glossary::UnknownWord>()
        || error.is::<FileError>()
        || error.is::<CourseError>()
        || matches!(
            error.downcast_ref(),
            Some(ReconstructError::Unknown(_) | ReconstructError::Choose { .. })
        )
        || error.is::<NoTerminal>()
        || error.is::<ConfigError>();
    if is_usage {
        return USAGE.into();
    }
    if error.downcast_ref::<ProbeError>().is_some_and(ProbeError::is_precondition) {
        return PRECONDITION.into();
    }
    if error.downcast_ref::<HostsError>().is_some_and(HostsError::is_precondition) {
        return PRECONDITION.into();
    }
    if matches!(error.downcast_ref(), Some(SandboxError::Missing { .. })) {
        return PRECONDITION.into();
    }
    if error.downcast_ref::<SkippedNamespace>().is_some_and(SkippedNamespace::is_refused) {
        return PRECONDITION.into();
    }
    if error.is::<SnapshotError>() || error.is::<BindError>() || error.is::<Lacking>() {
        return PRECONDITION.into();
    }
    FAILED.into()
}

/// Reports an error on stderr, with its causes, unless it is a closed pipe; returns the exit status.
#[must_use]
pub fn report(error: &anyhow::Error) -> ExitCode {
    if !is_closed_pipe(error) {
        say(&format!("tcpwatch: {}\n", harmless(&causes(error))));
    }
    status(error)
}

/// The error and its causes; a cause that is part of an error's own words is not repeated.
#[must_use]
pub fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        match (told.is_empty(), told.contains(&cause)) {
            (true, _) => cause,
            (false, true) => told,
            (false, false) => format!("{told}: {cause}"),
        }
    })
}

/// Text for a terminal, on which file names and words out of files could be escape sequences; lines
/// stay lines.
fn harmless(text: &str) -> String {
    let harmless = |c: char| c == '\n' || !c.is_control();
    text.chars().map(|c| if harmless(c) { c } else { '?' }).collect()
}

/// Writes to stderr, or after the screen of `top` is left. With a closed stderr there is nowhere to write to.
pub fn say(text: &str) {
    let _written = Messages.write_all(text.as_bytes()).is_ok();
}

/// Writes to stdout.
///
/// # Errors
/// If stdout cannot be written.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_ref())?;
    stdout.flush()
}

/// The reader of our output went away: a normal end, as for any filter in a pipe.
#[must_use]
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_in_a_message_does_not_reach_the_terminal() {
        assert_eq!(
            harmless("line 1\nof \u{1b}[31ma\u{9b}b\tc \u{e9}"),
            "line 1\nof ?[31ma?b?c \u{e9}"
        );
    }

    #[test]
    fn a_program_without_its_kernel_side_ends_with_the_status_of_what_is_lacking() {
        let error = anyhow::Error::from(ProbeError::NotBuilt);
        assert_eq!(status(&error), PRECONDITION.into());
    }
}
