//! `cargo xtask check`: what to check after every change, in less than a minute when little has changed. It needs no
//! BPF toolchain and no privilege.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cargo;

/// Arguments for cargo, the quickest step first.
const STEPS: [&[&str]; 3] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    &["test", "--workspace", "--lib", "--bins", "--locked", "--quiet"],
];

/// Stops at the first step that fails.
pub(crate) fn command() -> Result<ExitCode> {
    for args in STEPS {
        let typed = format!("cargo {}", args.join(" "));
        eprintln!("==> {typed}");
        let status = cargo::cargo().args(args).status();
        let status = status.with_context(|| format!("cannot start `{typed}`"))?;
        ensure!(status.success(), "`{typed}` failed ({status}); its messages are above");
    }
    Ok(ExitCode::SUCCESS)
}
