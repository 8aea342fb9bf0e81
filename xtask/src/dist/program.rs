//! The program that is packed: static, stripped, and without paths of this machine.

use std::{
    env::consts::ARCH,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use tcpwatch_bpf_toolchain::cargo_home;

use crate::{cargo, command};

/// Builds it, strips it into `dir` and returns its path.
///
/// It is linked with glibc, statically: it needs no file of the system that it runs on. The flags are set for this
/// target alone, so that build scripts are built as usual.
pub(super) fn build(dir: &Path) -> Result<PathBuf> {
    let target = format!("{ARCH}-unknown-linux-gnu");
    let workspace = cargo::workspace().display();
    let cargo_home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    // LLD, which Rust takes for this target, and glibc since 2.36: relocations take a tenth, equal functions are one.
    let smaller = match ARCH {
        "x86_64" => "-Clink-arg=-Wl,-z,pack-relative-relocs,--icf=all",
        _ => "",
    };
    let flags = format!(
        "-Ctarget-feature=+crt-static {smaller} --remap-path-prefix={workspace}=/tcpwatch \
         --remap-path-prefix={}=/cargo",
        cargo_home.display()
    );
    let variable = target.to_uppercase().replace('-', "_");
    let variable = format!("CARGO_TARGET_{variable}_RUSTFLAGS");
    let args = ["build", "--locked", "--profile=dist", "--package=tcpwatch", "--target", &target];
    let program = cargo::tcpwatch_of(cargo::build_with(&args, &[(&variable, &flags)])?)?;
    let stripped = dir.join("tcpwatch");
    command::succeed(Command::new("strip").arg("-o").arg(&stripped).arg(program))?;
    Ok(stripped)
}
