//! Runs the cargo that started this program in the workspace, and finds the executables that it builds.

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A binary or test binary that cargo has built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// The name of the cargo target: `tcpwatch`, `kernel`.
    pub(crate) target: String,
    /// Whether it runs tests; a library or a binary has such a target with its own name.
    pub(crate) is_test: bool,
    /// Where the file is.
    pub(crate) path: PathBuf,
}

/// The directory of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The cargo that started this program, to be run in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(program());
    command.current_dir(workspace());
    command
}

/// The full path of that cargo; plain `cargo` when this program was started otherwise.
pub(crate) fn program() -> PathBuf {
    env::var_os("CARGO").unwrap_or("cargo".into()).into()
}

/// Runs a build and returns the executables that it made or found up to date.
pub(crate) fn build(args: &[&str]) -> Result<Vec<Executable>> {
    build_with(args, &[])
}

/// The same with additional environment variables.
pub(crate) fn build_with(args: &[&str], env: &[(&str, &str)]) -> Result<Vec<Executable>> {
    let typed = format!("cargo {}", args.join(" "));
    let mut child = cargo()
        .args(args)
        .envs(env.iter().copied())
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{typed}`"))?;
    let mut executables = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.with_context(|| format!("cannot read the output of `{typed}`"))?;
            executables.extend(executable(&line));
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{typed}`"))?;
    ensure!(status.success(), "`{typed}` failed ({status}); its messages are above");
    Ok(executables)
}

/// Builds the release of tcpwatch and returns its path.
pub(crate) fn release() -> Result<PathBuf> {
    tcpwatch_of(build(&["build", "--release", "--package", "tcpwatch"])?)
}

/// The program among what a build has made.
pub(crate) fn tcpwatch_of(built: Vec<Executable>) -> Result<PathBuf> {
    let tcpwatch = built.into_iter().find(|built| built.target == "tcpwatch" && !built.is_test);
    Ok(tcpwatch.context("the package tcpwatch has no binary of that name")?.path)
}

/// The executable in one of cargo's messages; `None` for other messages.
fn executable(message: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(Executable {
        target: message.pointer("/target/name")?.as_str()?.to_owned(),
        is_test: message.pointer("/profile/test")?.as_bool()?,
        path: message.get("executable")?.as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_with_an_executable_is_taken() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"kernel"},
            "profile":{"test":true},"executable":"/t/deps/kernel-1"}"#;
        let expected =
            Executable { target: "kernel".into(), is_test: true, path: "/t/deps/kernel-1".into() };
        assert_eq!(executable(message), Some(expected), "name and path of the test binary");
    }

    #[test]
    fn libraries_and_other_messages_are_passed_over() {
        for message in [
            r#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "not JSON",
        ] {
            assert_eq!(executable(message), None, "{message}");
        }
    }
}
