//! The cargo that started us comes in; whether it has clippy and rustfmt goes out.
//!
//! Only checking the code needs them, so that their absence is said and never stops a build.

use std::process::Stdio;

use super::step::{RunsAs, Step};
use crate::cargo;

/// Installs clippy and rustfmt where they are missing; the answer ends a list of what is here.
pub(crate) fn ensure() -> &'static str {
    const HERE: &str = ", clippy and rustfmt";
    if are_here() {
        return HERE;
    }
    let install = Step {
        purpose: "installing clippy and rustfmt, with which the code is checked",
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
