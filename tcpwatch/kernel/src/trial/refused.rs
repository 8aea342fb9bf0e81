//! A connect that is refused: a reset without a socket, a reset received, an error for the application.

use std::io;

use super::{LoopbackSockets, PATIENCE, pair};

impl LoopbackSockets {
    /// Connects to the port on which nothing listens.
    ///
    /// # Errors
    /// If it is not refused.
    pub fn refuse(&self) -> io::Result<()> {
        let client = pair::socket()?;
        match client.connect_timeout(&self.closed.local_addr()?, PATIENCE) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::other("something listens on a port that does not listen")),
        }
    }
}
