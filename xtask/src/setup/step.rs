//! A command of the set-up: it is shown as a user would type it, then run.

use std::{fmt, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{cargo, privilege::Privilege};

/// One command, the reason for it, and whether root has to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetupStep {
    /// Its purpose, as a sentence without the full stop.
    pub(crate) purpose: &'static str,
    /// Additional environment. Values and arguments contain nothing that a shell would need quoted.
    pub(crate) env: Vec<(&'static str, String)>,
    /// Program and arguments.
    pub(crate) program: &'static str,
    pub(crate) args: Vec<String>,
    pub(crate) runs_as: RunsAs,
}

/// The user that runs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunsAs {
    /// The user of this process.
    Caller,
    /// Root, through `sudo` if this process is not root's.
    Root,
}

impl fmt::Display for SetupStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.env {
            write!(f, "{key}={value} ")?;
        }
        f.write_str(self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

impl SetupStep {
    /// Prints what it does, then does it.
    pub(crate) fn run(&self) -> Result<()> {
        eprintln!("setup: {}:\n    {self}", self.purpose);
        let mut command = self.command()?;
        let status = command.status().with_context(|| format!("cannot start `{self}`"))?;
        ensure!(status.success(), "`{self}` failed ({status})");
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let mut command = match (self.runs_as, self.program) {
            (RunsAs::Root, program) => {
                // `env`, because sudo resets the environment.
                let mut command =
                    Privilege::of_this_process().command("env", "install packages")?;
                command.args(self.env.iter().map(|(key, value)| format!("{key}={value}")));
                command.arg(program);
                command
            }
            (RunsAs::Caller, "cargo") => cargo_outside_the_workspace(),
            (RunsAs::Caller, program) => Command::new(program),
        };
        if self.runs_as == RunsAs::Caller {
            command.envs(self.env.iter().map(|(key, value)| (key, value)));
        }
        command.args(&self.args);
        Ok(command)
    }
}

/// The cargo that started this program, with the compiler from the same directory, and without the workspace's
/// settings: a system's `/usr/bin/rustc` earlier in `PATH` must not take part in the build.
fn cargo_outside_the_workspace() -> Command {
    let program = cargo::program();
    let rustc = program.with_file_name("rustc");
    let mut command = Command::new(&program);
    command.env_remove("RUSTC_BOOTSTRAP");
    if rustc.is_file() {
        command.env("RUSTC", rustc);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_as_it_would_be_typed() {
        let step = SetupStep {
            purpose: "building it",
            env: vec![("LLVM_PREFIX", "/usr/lib/llvm-22".into())],
            program: "cargo",
            args: vec!["install".into(), "bpf-linker".into()],
            runs_as: RunsAs::Caller,
        };
        let typed = "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker";
        assert_eq!(step.to_string(), typed, "environment, program, arguments");
    }

    #[test]
    fn a_failing_step_names_its_command_and_status() {
        let step = SetupStep {
            purpose: "failing",
            env: Vec::new(),
            program: "false",
            args: Vec::new(),
            runs_as: RunsAs::Caller,
        };
        let error = step.run().expect_err("`false` fails").to_string();
        assert_eq!(error, "`false` failed (exit status: 1)", "what failed, and how");
    }
}
