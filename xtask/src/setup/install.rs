//! What this machine lacks comes in, commands run, and a toolchain that was found goes out.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use super::{
    apt::{self, Offer},
    lint_tools,
    road::{self, LinkerFrom, Needs},
};
use crate::{
    bpf_toolchain::{BpfToolchain, Compiler, in_path},
    precondition::Precondition,
};

/// `cargo xtask setup`.
pub(crate) fn command() -> Result<ExitCode> {
    let toolchain = ensure()?;
    let lint_tools = lint_tools::ensure();
    eprintln!("everything is here: {toolchain}{lint_tools}");
    Ok(ExitCode::SUCCESS)
}

/// The toolchain for the kernel side; installs what is missing and is silent when nothing is.
pub(crate) fn ensure() -> Result<BpfToolchain> {
    let missing = match BpfToolchain::find() {
        Ok(toolchain) => return Ok(toolchain),
        Err(missing) => missing,
    };
    eprintln!("setup: {missing} is missing");
    let mut obstacles = Vec::new();
    for road in [Compiler::Debian, Compiler::Nightly] {
        let (name, result) = match road {
            Compiler::Debian => ("Debian's packages", by_debian()),
            Compiler::Nightly => ("rustup's nightly", by_rustup()),
        };
        match result.and_then(|()| Ok(BpfToolchain::find()?)) {
            Ok(toolchain) => return Ok(toolchain),
            Err(obstacle) => {
                eprintln!("setup: not by {name}: {obstacle:#}");
                obstacles.push(format!("\n  not by {name}: {obstacle:#}"));
            }
        }
    }
    let obstacles = obstacles.concat();
    let by_hand = road::by_hand();
    Err(Precondition(format!(
        "the kernel side cannot be built here{obstacles}\n{by_hand}"
    ))
    .into())
}

/// Debian's compiler, and bpf-linker built against Debian's LLVM.
fn by_debian() -> Result<()> {
    if in_path("apt-get").is_none() {
        bail!("this system has no apt-get");
    }
    let needs = needs(Compiler::Debian);
    if needs.compiler || needs.linker {
        install_packages(&road::debian_packages(needs))?;
    }
    if needs.linker {
        road::linker_with_debian_llvm().run()
    } else {
        Ok(())
    }
}

/// Installs `wanted`; refreshes apt's lists first where they lack a package, and once more where
/// they name files that are no longer offered.
fn install_packages(wanted: &[&str]) -> Result<()> {
    let mut offer = apt::offer(wanted, &apt::policy(wanted)?);
    let mut lists_are_fresh = false;
    if !matches!(offer, Offer::Install(_)) {
        road::apt_update().run().context("apt failed")?;
        lists_are_fresh = true;
        offer = apt::offer(wanted, &apt::policy(wanted)?);
    }
    match offer {
        Offer::Unknown(names) => bail!("apt does not have {} here", names.join(", ")),
        Offer::TooOld { version } => bail!("apt's compiler is too old ({version})"),
        Offer::Install(names) if names.is_empty() => Ok(()),
        Offer::Install(names) => {
            let install = road::apt_install(&names);
            match install.run() {
                Err(_) if !lists_are_fresh => {
                    eprintln!("setup: that failed; the lists of packages may be old");
                    road::apt_update().run().context("apt failed")?;
                    install.run().context("apt failed")
                }
                done_or_failed => done_or_failed.context("apt failed"),
            }
        }
    }
}

/// Rustup's nightly, and a bpf-linker from wherever cargo gets it.
fn by_rustup() -> Result<()> {
    let needs = needs(Compiler::Nightly);
    if needs.compiler && in_path("rustup").is_none() {
        bail!("rustup is not installed");
    }
    let linker = if has_binstall() {
        LinkerFrom::Binstall
    } else {
        LinkerFrom::Source
    };
    road::rustup_steps(needs, linker)
        .iter()
        .try_for_each(super::step::Step::run)
}

/// What is missing on the road that `compiler` stands for.
fn needs(compiler: Compiler) -> Needs {
    let found = BpfToolchain::find_compiler();
    Needs {
        compiler: match compiler {
            Compiler::Debian => found != Some(Compiler::Debian),
            Compiler::Nightly => found.is_none(),
        },
        linker: BpfToolchain::find_linker().is_none(),
    }
}

fn has_binstall() -> bool {
    let mut command = Command::new(crate::cargo::program());
    command
        .args(["binstall", "-V"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
