//! What tests ran again, and why: they note it as lines in a file that the environment names
//! (`tcpwatch/tests/coverage/rerun.rs`).

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::cargo;

/// The file of this process's tests.
pub(crate) struct Reruns(PathBuf);

impl Reruns {
    /// Without any lines. It is made here, so that it belongs to the caller even where root writes to it.
    pub(crate) fn none() -> Result<Self> {
        let path = cargo::workspace().join("target/reruns.txt");
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }

    /// What the tests have to find in their environment, as `NAME=value`.
    pub(crate) fn variable(&self) -> OsString {
        let mut variable = OsString::from("TCPWATCH_RERUNS=");
        variable.push(&self.0);
        variable
    }

    /// One line for each rerun so far: which test, what of it, and the reason.
    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.0);
        let text = text.with_context(|| format!("cannot read {}", self.0.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}
