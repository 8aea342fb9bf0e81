//! Where the tests find the program and their files: as cargo built them, or where both were carried to.
//! Shared by the test targets that run inside virtual machines, too.

use std::{
    env,
    path::{Path, PathBuf},
};

/// tcpwatch: as cargo built it with this test, or the one that the environment names.
pub(crate) fn program() -> PathBuf {
    let elsewhere = env::var_os("TCPWATCH_PROGRAM");
    elsewhere.unwrap_or_else(|| env!("CARGO_BIN_EXE_tcpwatch").into()).into()
}

/// A file of the package: where its sources are, or where the environment says.
pub(crate) fn file(path: impl AsRef<Path>) -> PathBuf {
    let elsewhere = env::var_os("CARGO_MANIFEST_DIR");
    PathBuf::from(elsewhere.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())).join(path)
}
