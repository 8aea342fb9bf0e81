//! `cargo xtask setup`: installs what this machine lacks.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use super::{
    apt::{self, Offer},
    lint_tools,
    road::{self, LinkerFrom, Needs},
};
use tcpwatch_bpf_toolchain::{BpfToolchain, Compiler, in_path};

use crate::{debian::PROMETHEUS, precondition::Precondition};

/// `cargo xtask setup`.
pub(crate) fn command() -> Result<ExitCode> {
    let toolchain = ensure()?;
    let lint_tools = lint_tools::ensure();
    let prometheus = match PROMETHEUS.ensure() {
        Ok(directory) => format!(", prometheus in {}", directory.display()),
        Err(error) => {
            eprintln!("setup: {error:#}; all but the tier `deploy` works without them");
            " (but not prometheus)".to_owned()
        }
    };
    eprintln!("everything is installed: {toolchain}{lint_tools}{prometheus}");
    Ok(ExitCode::SUCCESS)
}

/// The toolchain for the kernel side; installs what is missing, and prints nothing if nothing is.
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
                eprintln!("setup: cannot use {name}: {obstacle:#}");
                obstacles.push(format!("\n  cannot use {name}: {obstacle:#}"));
            }
        }
    }
    let obstacles = obstacles.concat();
    let by_hand = road::by_hand();
    Err(Precondition(format!("the kernel side cannot be built here{obstacles}\n{by_hand}")).into())
}

/// Installs Debian's compiler, and bpf-linker built against Debian's LLVM.
fn by_debian() -> Result<()> {
    if in_path("apt-get").is_none() {
        bail!("this system has no apt-get");
    }
    let needs = needs(Compiler::Debian);
    if needs.compiler || needs.linker {
        install_packages(&road::debian_packages(needs), road::KERNEL_SIDE)?;
    }
    if needs.linker { road::linker_with_debian_llvm().run() } else { Ok(()) }
}

/// Installs `wanted`. Refreshes apt's lists if they lack a package, or if the installation fails: old lists name files
/// that are no longer offered.
fn install_packages(wanted: &[&str], purpose: &'static str) -> Result<()> {
    if let Offer::Install(names) = apt::offer(wanted, &apt::policy(wanted)?) {
        let Err(error) = install_offered(&names, purpose) else {
            return Ok(());
        };
        eprintln!("setup: {error:#}; the lists of packages may be old");
    }
    // A failed update of one list does not matter as long as the others have all the packages.
    let updated = refresh_packages();
    match (apt::offer(wanted, &apt::policy(wanted)?), updated) {
        (Offer::Install(names), _) => install_offered(&names, purpose),
        (Offer::Unknown(_) | Offer::TooOld { .. }, Err(error)) => Err(error),
        (Offer::Unknown(names), Ok(())) => bail!("apt does not offer {} here", names.join(", ")),
        (Offer::TooOld { version }, Ok(())) => bail!("apt's compiler is too old ({version})"),
    }
}

/// Brings apt's lists up to date.
fn refresh_packages() -> Result<()> {
    road::apt_update().run()
}

fn install_offered(names: &[&str], purpose: &'static str) -> Result<()> {
    if names.is_empty() { Ok(()) } else { road::apt_install(names, purpose).run() }
}

/// Installs rustup's nightly, and bpf-linker through cargo.
fn by_rustup() -> Result<()> {
    let needs = needs(Compiler::Nightly);
    if needs.compiler && in_path("rustup").is_none() {
        bail!("rustup is not installed");
    }
    let linker = if has_binstall() { LinkerFrom::Binstall } else { LinkerFrom::Source };
    road::rustup_steps(needs, linker).iter().try_for_each(super::step::SetupStep::run)
}

/// What is missing if `compiler` is used.
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
    command.args(["binstall", "-V"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
