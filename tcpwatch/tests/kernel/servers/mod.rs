//! Servers of Debian whose sockets are not held by the process that listens, and real containers: what tcpwatch
//! says of their sockets, beside `ss -p` and beside what the container manager says.
//!
//! A tier of its own, `cargo xtask test servers`, which fetches the packages.

mod agreement;
mod broken;
mod containers;
mod healthy;
mod holders;
mod http;
mod nginx;
mod node;
mod postgresql;
mod redis;
mod system;

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    thread,
};

/// Leaves the test with a loud word if it cannot run here.
macro_rules! needs_packages {
    () => {
        if !$crate::root::is_root() || !$crate::servers::are_here() {
            return;
        }
    };
}
use needs_packages;

/// Where the unpacked packages are, each in a directory with its name.
fn packages() -> Option<PathBuf> {
    env::var_os("TCPWATCH_PACKAGES").map(PathBuf::from)
}

/// A busybox that needs no libraries.
fn busybox() -> Option<PathBuf> {
    env::var_os("TCPWATCH_BUSYBOX").map(PathBuf::from)
}

/// If the packages are not here, says so past the test runner's capture.
fn are_here() -> bool {
    if packages().is_some() && busybox().is_some() {
        return true;
    }
    let name = thread::current().name().unwrap_or("a test").to_owned();
    writeln!(io::stderr(), "SKIPPED: `cargo xtask test servers` runs it: {name}").unwrap();
    false
}
