//! Which tests ran something again, and why: they write lines to a file that the environment names
//! (`tcpwatch/tests/coverage/rerun.rs`).

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::cargo;

/// The file for the tests of this process.
pub(crate) struct Reruns(PathBuf);

impl Reruns {
    /// An empty file. It is made here, so that it belongs to the caller even if root writes to it.
    pub(crate) fn none() -> Result<Self> {
        let path = cargo::workspace().join("target/reruns.txt");
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }

    /// The environment variable that the tests read, as `NAME=value`.
    pub(crate) fn variable(&self) -> OsString {
        let mut variable = OsString::from("TCPWATCH_RERUNS=");
        variable.push(&self.0);
        variable
    }

    /// One line for each rerun so far: the test, what was run again, and the reason.
    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.0);
        let text = text.with_context(|| format!("cannot read {}", self.0.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}
