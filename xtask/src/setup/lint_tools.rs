//! Installs clippy and rustfmt if they are missing.
//!
//! Only checks of the code need them, so their absence is reported and never stops a build.

use std::process::Stdio;

use super::step::{RunsAs, SetupStep};
use crate::cargo;

/// Installs clippy and rustfmt if they are missing; the returned text completes a list of what is installed.
pub(crate) fn ensure() -> &'static str {
    const HERE: &str = ", clippy and rustfmt";
    if are_here() {
        return HERE;
    }
    let install = SetupStep {
        purpose: "installing clippy and rustfmt to check the code",
        env: Vec::new(),
        program: "rustup",
        args: ["component", "add", "clippy", "rustfmt"].map(Into::into).to_vec(),
        runs_as: RunsAs::Caller,
    };
    match install.run() {
        Ok(()) => HERE,
        Err(error) => {
            eprintln!("setup: {error:#}; all but `.ci/run` works without them");
            " (but not clippy and rustfmt)"
        }
    }
}

fn are_here() -> bool {
    ["clippy", "fmt"].into_iter().all(|tool| {
        let mut command = cargo::cargo();
        command.args([tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}
