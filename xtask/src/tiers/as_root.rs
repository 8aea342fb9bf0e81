//! Runs a test binary as root.

use std::{env, ffi::OsString, path::Path, process::Command};

use anyhow::{Context, Result};

use super::run::{listed, succeed};
use crate::{cargo, debian::IPROUTE, privilege::Privilege};

/// Root runs only the finished test binary, so that no file in the target directory belongs to root.
pub(super) fn as_root(
    target: &str,
    profile: &[&str],
    env: &[OsString],
    args: &[&str],
    names: &[&str],
) -> Result<bool> {
    let build = ["test", "--workspace", "--test", target, "--no-run"];
    let binary = cargo::build(&[&build, profile].concat())?
        .into_iter()
        .find(|executable| executable.target == target)
        .with_context(|| format!("cargo built no test binary `{target}`"))?;
    let what = format!("the test binary `{target}`");
    let package = cargo::workspace().join("tcpwatch");
    let env = [env, path()?.as_slice()].concat();
    let mut command = test_as_root(Privilege::of_this_process(), &env, &binary.path, &package)?;
    command.args(args);
    if !names.is_empty() {
        let mut list = Command::new(&binary.path);
        list.args(args).arg("--list").current_dir(&package);
        let all = listed(list, &what)?;
        let chosen: Vec<_> =
            all.iter().filter(|test| names.iter().any(|name| test.contains(name))).collect();
        if chosen.is_empty() {
            return Ok(false);
        }
        // By their full names: a filter among `args` would include the others again.
        command.arg("--exact").args(chosen);
    }
    succeed(command, &what).map(|()| true)
}

/// `PATH` for tests that start `ip`, `ss` and `tc`; `None` if it already has them.
fn path() -> Result<Option<OsString>> {
    let tools = IPROUTE.ensure()?;
    let mut dirs: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    if dirs.contains(&tools) {
        return Ok(None);
    }
    dirs.push(tools);
    let mut setting = OsString::from("PATH=");
    setting.push(env::join_paths(dirs).context("cannot add the tools of the tests to PATH")?);
    Ok(Some(setting))
}

/// As `cargo test` would run it, but one test at a time, because all of them watch the same kernel. A test that cannot
/// run fails here instead of being skipped.
fn test_as_root(
    privilege: Privilege,
    env: &[OsString],
    binary: &Path,
    package: &Path,
) -> Result<Command> {
    // `env`, because sudo resets the environment.
    let mut command = privilege.command("env", "test on the live kernel")?;
    let mut manifest_dir = OsString::from("CARGO_MANIFEST_DIR=");
    manifest_dir.push(package);
    command.arg("TCPWATCH_REQUIRE_ROOT=1").arg(manifest_dir).args(env);
    command.arg(binary).arg("--test-threads=1").current_dir(package);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_tests_run_alone_and_may_not_skip() {
        let (binary, package) = (Path::new("/t/kernel-1"), Path::new("/p"));
        let env = [OsString::from("A=b")];
        let command = test_as_root(Privilege::Root, &env, binary, package).expect("we are root");
        let args: Vec<_> = command.get_args().map(|arg| arg.display().to_string()).collect();
        let expected = [
            "TCPWATCH_REQUIRE_ROOT=1",
            "CARGO_MANIFEST_DIR=/p",
            "A=b",
            "/t/kernel-1",
            "--test-threads=1",
        ];
        assert_eq!(args, expected, "environment, binary, one thread");
    }
}
