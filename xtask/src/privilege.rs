//! How to run a command as root.

use std::{ffi::OsStr, process::Command};

use anyhow::Result;

use tcpwatch_bpf_toolchain::in_path;

use crate::precondition::Precondition;

/// How a command can be run as root here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// This process is root.
    Root,
    /// Through `sudo`, which may ask for a password.
    Sudo,
    /// Neither root nor `sudo`.
    None,
}

impl Privilege {
    /// Reads the effective user ID and searches `sudo`.
    pub(crate) fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::Root
        } else if in_path("sudo").is_some() {
            Self::Sudo
        } else {
            Self::None
        }
    }

    /// The command that runs `program` as root; `purpose` completes "root is needed to ...".
    pub(crate) fn command(self, program: impl AsRef<OsStr>, purpose: &str) -> Result<Command> {
        match self {
            Self::Root => Ok(Command::new(program)),
            Self::Sudo => {
                eprintln!("root is needed to {purpose}: using sudo for this one command");
                let mut command = Command::new("sudo");
                command.arg("--").arg(program);
                Ok(command)
            }
            Self::None => Err(Precondition(format!(
                "root is needed to {purpose}, and there is no sudo here; run this command as root"
            ))
            .into()),
        }
    }
}
