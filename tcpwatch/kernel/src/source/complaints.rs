//! The kernel side's own rare complaints, which it sends through a ring of their own.

#![expect(unsafe_code, reason = "registering the ring's descriptor with the runtime is unsafe")]

use std::io;

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

use crate::probe::Probes;

/// Passes complaints on to `tracing`.
pub struct Complaints(AsyncFd<EbpfLogger<&'static dyn log::Log>>);

impl Complaints {
    /// Takes the ring of complaints out of the kernel side.
    ///
    /// # Errors
    /// If it has none.
    pub fn new(probes: &mut Probes) -> Result<Self> {
        let ring = probes.complaints().context("cannot read the kernel side's complaints")?;
        // SAFETY: the descriptor belongs to the ring, which the AsyncFd owns from here on and which
        // keeps it open for as long as it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self(ring))
    }

    /// Waits for complaints and passes them on.
    ///
    /// # Errors
    /// If the runtime refuses to wait.
    pub async fn heard(&mut self) -> io::Result<()> {
        let mut guard = self.0.readable_mut().await?;
        guard.get_inner_mut().flush();
        guard.clear_ready();
        Ok(())
    }
}
