//! The programs that boot other kernels: what is missing comes in, packages that bring it are
//! installed.

use anyhow::{Context, Result, ensure};

use super::install::install_packages;
use tcpwatch_bpf_toolchain::in_path;

use crate::precondition::Precondition;

/// A program and the package that has it.
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("ip", "iproute2"),
];

/// Installs what is missing and is silent when nothing is.
pub(crate) fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let install = || {
        ensure!(in_path("apt-get").is_some(), "this system has no apt-get");
        install_packages(&missing, "installing what boots other kernels")?;
        let left = self::missing();
        ensure!(left.is_empty(), "{} did not bring its program", left.join(", "));
        Ok(())
    };
    install().with_context(|| {
        Precondition(format!("no virtual machine can be run here without {}", missing.join(", ")))
    })
}

fn missing() -> Vec<&'static str> {
    let is_missing = |(program, _): &&(&str, &str)| in_path(program).is_none();
    PROGRAMS.iter().filter(is_missing).map(|(_, package)| *package).collect()
}
