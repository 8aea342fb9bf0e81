//! Tests that need root: without root they report that they are skipped. Shared by the test targets that have such
//! tests.

use std::{
    env,
    io::{self, Write as _},
    thread,
};

/// Skips the test with a message if it cannot run here.
macro_rules! needs_root {
    () => {
        if !$crate::root::is_root() {
            return;
        }
    };
}

/// Whether this process is root's. If not, prints a message past the test runner's capture, or fails where a skipped
/// test is a failure.
pub(crate) fn is_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(env::var_os("TCPWATCH_REQUIRE_ROOT").is_none(), "this test needs root");
    let name = thread::current().name().unwrap_or("a test").to_owned();
    writeln!(io::stderr(), "SKIPPED: needs root: {name}").unwrap();
    false
}
