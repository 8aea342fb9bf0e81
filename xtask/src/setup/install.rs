//! What this machine lacks comes in, commands run, and a toolchain that was found goes out.

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
    eprintln!("everything is here: {toolchain}{lint_tools}{prometheus}");
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
    Err(Precondition(format!("the kernel side cannot be built here{obstacles}\n{by_hand}")).into())
}

/// Debian's compiler, and bpf-linker built against Debian's LLVM.
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

/// Installs `wanted`. Apt's lists are refreshed where they lack a package, and where the
/// installation fails: old lists name files that are no longer offered.
fn install_packages(wanted: &[&str], purpose: &'static str) -> Result<()> {
    if let Offer::Install(names) = apt::offer(wanted, &apt::policy(wanted)?) {
        let Err(error) = install_offered(&names, purpose) else {
            return Ok(());
        };
        eprintln!("setup: {error:#}; the lists of packages may be old");
    }
    // One broken list of many is no obstacle as long as the others have all the packages.
    let updated = refresh_packages();
    match (apt::offer(wanted, &apt::policy(wanted)?), updated) {
        (Offer::Install(names), _) => install_offered(&names, purpose),
        (Offer::Unknown(_) | Offer::TooOld { .. }, Err(error)) => Err(error),
        (Offer::Unknown(names), Ok(())) => bail!("apt does not have {} here", names.join(", ")),
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

/// Rustup's nightly, and a bpf-linker from wherever cargo gets it.
fn by_rustup() -> Result<()> {
    let needs = needs(Compiler::Nightly);
    if needs.compiler && in_path("rustup").is_none() {
        bail!("rustup is not installed");
    }
    let linker = if has_binstall() { LinkerFrom::Binstall } else { LinkerFrom::Source };
    road::rustup_steps(needs, linker).iter().try_for_each(super::step::Step::run)
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
    command.args(["binstall", "-V"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
