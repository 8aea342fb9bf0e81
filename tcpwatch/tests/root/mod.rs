//! Tests that need root: run as root they run, otherwise they say so. Shared by the test targets that have
//! such tests.

use std::{
    env,
    io::{self, Write as _},
    thread,
};

/// Leaves the test with a loud word if it cannot run here.
macro_rules! needs_root {
    () => {
        if !$crate::root::is_root() {
            return;
        }
    };
}

/// Is this process root? If not, says so past the test runner's capture, or fails where a test that
/// cannot run is no pass.
pub(crate) fn is_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(env::var_os("TCPWATCH_REQUIRE_ROOT").is_none(), "this test needs root");
    let name = thread::current().name().unwrap_or("a test").to_owned();
    writeln!(io::stderr(), "SKIPPED: needs root: {name}").unwrap();
    false
}
