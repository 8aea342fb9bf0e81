//! Programs and the Debian packages that have them come in; those that are missing are installed, and it
//! is said so.

use std::process::Command;

use anyhow::{Context, Result};

use tcpwatch_bpf_toolchain::in_path;

use crate::precondition::Precondition;

/// `what` completes "installing ...".
pub(super) fn install(what: &str, programs: &[(&str, &str)]) -> Result<()> {
    let missing = programs.iter().filter(|(program, _)| in_path(program).is_none());
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let typed = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    let lacking =
        |why: &str| Precondition(format!("{what}: not installed, and {why}; on Debian: `{typed}`"));
    if in_path("apt-get").is_none() {
        return Err(lacking("this system has no apt-get").into());
    }
    eprintln!("bench: installing {what}:\n    {typed}");
    let mut command = Command::new("apt-get");
    command.args(["install", "--yes", "--no-install-recommends"]).args(&packages);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    // The results are on stdout.
    command.stdout(std::io::stderr());
    if !command.status().context("cannot start apt-get")?.success() {
        return Err(lacking("apt-get failed (`apt-get update` may help)").into());
    }
    Ok(())
}
