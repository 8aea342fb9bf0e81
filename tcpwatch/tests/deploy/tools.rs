//! The programs of Prometheus: those that `cargo xtask test deploy` names, or those in `PATH`.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
};

/// Skips the test with a message if Prometheus is not here, or, where a network namespace is made (`as root`), if this
/// process is not root's.
macro_rules! needs_prometheus {
    () => {
        if !$crate::deploy::tools::is_here(true, "Prometheus") {
            return;
        }
    };
    (as root) => {
        let is_root = rustix::process::geteuid().is_root();
        if !$crate::deploy::tools::is_here(is_root, "Prometheus and root") {
            return;
        }
    };
}
pub(crate) use needs_prometheus;

/// The directory with `prometheus` and `promtool`.
fn directory() -> Option<PathBuf> {
    let named = env::var_os("TCPWATCH_PROMETHEUS").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = named.into_iter().chain(env::split_paths(&path));
    places.find(|place| place.join("promtool").is_file() && place.join("prometheus").is_file())
}

/// Prints a message past the test runner's capture if it is not, or fails where a skipped test is a failure.
pub(crate) fn is_here(everything_else: bool, needs: &str) -> bool {
    if everything_else && directory().is_some() {
        return true;
    }
    assert!(env::var_os("TCPWATCH_REQUIRE_ROOT").is_none(), "this test needs {needs}");
    let name = thread::current().name().unwrap_or("a test").to_owned();
    writeln!(io::stderr(), "SKIPPED: needs {needs}: {name}").unwrap();
    false
}

/// A command that runs `prometheus` or `promtool`.
pub(crate) fn program(name: &str) -> Command {
    Command::new(directory().unwrap().join(name))
}

/// Runs promtool with this on its standard input; it must succeed without findings.
pub(crate) fn promtool(args: &[&str], input: &str) -> String {
    let mut child = program("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(status.success(), "promtool {}: {status}\n{said}", args.join(" "));
    said
}
