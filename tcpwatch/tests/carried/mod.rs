//! Finds the program and the files of the tests: where cargo built them, or where both were copied to. Shared by all
//! test targets that run inside virtual machines.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The path of tcpwatch: built by cargo with this test, or named by the environment.
pub(crate) fn program() -> PathBuf {
    let elsewhere = env::var_os("TCPWATCH_PROGRAM");
    elsewhere.unwrap_or_else(|| env!("CARGO_BIN_EXE_tcpwatch").into()).into()
}

/// A file of the package: in its source directory, or in the directory that the environment names.
pub(crate) fn file(path: impl AsRef<Path>) -> PathBuf {
    let elsewhere = env::var_os("CARGO_MANIFEST_DIR");
    PathBuf::from(elsewhere.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())).join(path)
}
