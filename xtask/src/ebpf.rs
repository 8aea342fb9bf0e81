//! `cargo xtask ebpf`: builds the kernel side alone and prints the path of the object file.

use std::{
    env::{self, consts::ARCH},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};

use crate::{cargo, setup};

/// Builds the kernel side as `tcpwatch/kernel/build.rs` does, for inspection with `llvm-objdump`.
pub(crate) fn command() -> Result<ExitCode> {
    let toolchain = setup::ensure()?;
    let own = env::current_exe().context("cannot find the path of this program")?;
    let target_dir = own.ancestors().nth(2).context("this program is not in target/PROFILE/")?;
    let out_dir = target_dir.join("ebpf");
    let status = toolchain
        .build_command(&out_dir, ARCH)
        .current_dir(cargo::workspace())
        .status()
        .with_context(|| format!("cannot start the build with {toolchain}"))?;
    ensure!(status.success(), "the kernel side does not build with {toolchain}");
    println!("{}", out_dir.join("bpfel-unknown-none/release/tcpwatch-ebpf").display());
    Ok(ExitCode::SUCCESS)
}
