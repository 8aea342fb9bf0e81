//! The runtime of the commands that wait.

use anyhow::{Context as _, Result};
use tcpwatch_kernel::probe::features;
use tokio::runtime::{Builder, Runtime};

/// Every command that waits does so on one thread.
pub(crate) fn start() -> Result<Runtime> {
    features::demand_open_files()?;
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}
