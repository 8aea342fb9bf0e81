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
        if !$crate::deploy::tools::is_here(
            $crate::deploy::tools::prometheus().is_some(),
            "Prometheus",
        ) {
            return;
        }
    };
    (as root) => {
        let is_root = rustix::process::geteuid().is_root();
        let is_here = is_root && $crate::deploy::tools::prometheus().is_some();
        if !$crate::deploy::tools::is_here(is_here, "Prometheus and root") {
            return;
        }
    };
}
pub(crate) use needs_prometheus;

/// The directory that has all of these programs: the one that the environment variable `named` has, or one of `PATH`.
pub(crate) fn directory_of(named: &str, programs: &[&str]) -> Option<PathBuf> {
    let named = env::var_os(named).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = named.into_iter().chain(env::split_paths(&path));
    places.find(|place| programs.iter().all(|program| place.join(program).is_file()))
}

/// The directory with `prometheus` and `promtool`.
pub(crate) fn prometheus() -> Option<PathBuf> {
    directory_of("TCPWATCH_PROMETHEUS", &["promtool", "prometheus"])
}

/// Prints a message past the test runner's capture if it is not, or fails where a skipped test is a failure.
pub(crate) fn is_here(it_is: bool, needs: &str) -> bool {
    if it_is {
        return true;
    }
    assert!(env::var_os("TCPWATCH_REQUIRE_ROOT").is_none(), "this test needs {needs}");
    let name = thread::current().name().unwrap_or("a test").to_owned();
    writeln!(io::stderr(), "SKIPPED: needs {needs}: {name}").unwrap();
    false
}

/// A command that runs `prometheus` or `promtool`.
pub(crate) fn program(name: &str) -> Command {
    Command::new(prometheus().unwrap().join(name))
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
