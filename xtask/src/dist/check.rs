//! Checks the packages in a Debian system of their own: installed, used, upgraded, purged, and read by linters.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{cargo, command, debian::DEBOOTSTRAP, precondition::Precondition};

/// The steps.
const SCRIPT: &str = include_str!("check.sh");

/// Checks the files in `out`. Makes a system of some 200 MB, 900 MB with the linters, and removes it.
pub(super) fn check(out: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        let text = "root is needed to install a package; run `cargo xtask dist --check` as root";
        return Err(Precondition(text.to_owned()).into());
    }
    let dir = tempfile::tempdir()?;
    let (root, script) = (dir.path().join("root"), dir.path().join("check.sh"));
    fs::write(&script, SCRIPT).context("cannot write the steps of the check")?;
    let debootstrap = DEBOOTSTRAP.ensure_unpacked()?;
    // What the script mounts ends with the namespace, before the directory is removed.
    let mut run = Command::new("unshare");
    run.args(["--mount", "--propagation=private", "sh"])
        .arg(&script)
        .arg(debootstrap)
        .arg(&root)
        .arg(out);
    command::die_with_this_thread(&mut run);
    command::succeed(run.arg(cargo::workspace().join("deploy/rpm/rpmlint.toml")))
}
