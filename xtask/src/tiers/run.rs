//! Runs tests, all of them or those with certain names.

use std::{
    ffi::OsString,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{TierRun, as_root::as_root};
use crate::{
    cargo,
    debian::{BUSYBOX, NODE_EXPORTER, PROMETHEUS, ProgramPackage, RSYSLOG, SERVERS},
    reruns::Reruns,
    vm,
};

impl TierRun {
    /// Runs its tests, or those with one of `names` in their names; returns false if there are none.
    pub(super) fn start(&self, names: &[&str], vm: &vm::Options, reruns: &Reruns) -> Result<bool> {
        let env = [reruns.variable()];
        match self {
            Self::Cargo(args) => cargo_test(args, names),
            Self::AsRoot(target, args) => as_root(target, &[], &env, args, names),
            Self::Fast(target, args) => {
                as_root(target, &["--profile", "checked"], &env, args, names)
            }
            Self::WithCollectors(target) => {
                let [reruns] = env;
                let env = [
                    directory("TCPWATCH_PROMETHEUS", &PROMETHEUS)?,
                    directory("TCPWATCH_NODE_EXPORTER", &NODE_EXPORTER)?,
                    directory("TCPWATCH_RSYSLOG", &RSYSLOG)?,
                    reruns,
                ];
                as_root(target, &[], &env, &[], names)
            }
            Self::WithServers(target, args) => {
                let [reruns] = env;
                let [packages, busybox] = servers()?;
                as_root(target, &[], &[packages, busybox, reruns], args, names)
            }
            Self::InMachines => {
                let mut options = vm.clone();
                options.only.extend(names.iter().map(|&name| name.to_owned()));
                vm::run(&options).map(|()| true)
            }
        }
    }
}

/// `NAME=` and the directory with a package's programs.
fn directory(name: &str, package: &ProgramPackage) -> Result<OsString> {
    let mut setting = OsString::from(format!("{name}="));
    setting.push(package.ensure()?);
    Ok(setting)
}

/// Where the tests find each server's package, unpacked, and busybox for what runs in a container.
fn servers() -> Result<[OsString; 2]> {
    let mut packages = OsString::from("TCPWATCH_PACKAGES=");
    for server in SERVERS {
        let unpacked = server.ensure_unpacked()?;
        if packages.as_encoded_bytes().ends_with(b"=") {
            packages.push(unpacked.parent().context("packages are unpacked in a directory")?);
        }
    }
    let mut busybox = OsString::from("TCPWATCH_BUSYBOX=");
    busybox.push(BUSYBOX.ensure()?.join("busybox"));
    Ok([packages, busybox])
}

fn cargo_test(args: &[&str], names: &[&str]) -> Result<bool> {
    let what = format!("cargo test {}", args.join(" "));
    // A failed test binary must not keep the others from running.
    let test = || {
        let mut command = cargo::cargo();
        command.arg("test").args(args).arg("--no-fail-fast");
        command
    };
    if names.is_empty() {
        return succeed(test(), &what).map(|()| true);
    }
    let mut list = test();
    list.args(["--", "--list"]).args(names);
    if listed(list, &what)?.is_empty() {
        return Ok(false);
    }
    let mut command = test();
    command.arg("--").args(names);
    succeed(command, &what).map(|()| true)
}

/// The names of the tests that a command lists.
pub(super) fn listed(mut list: Command, what: &str) -> Result<Vec<String>> {
    let list = list.stderr(Stdio::inherit()).output();
    let list = list.with_context(|| format!("cannot start {what}"))?;
    ensure!(list.status.success(), "{what} does not list its tests: {}", list.status);
    let text = String::from_utf8_lossy(&list.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(Into::into).collect())
}

pub(super) fn succeed(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {what}"))?;
    ensure!(status.success(), "{what}: {status}");
    Ok(())
}
