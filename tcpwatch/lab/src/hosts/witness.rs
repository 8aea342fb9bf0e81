//! An independent look at a host's sockets: asks `sock_diag` inside its network namespace.

use tcpwatch_core::event::{KnownSocket, Netns};
use tcpwatch_kernel::{
    probe::filters::Family,
    source::snapshot::{DumpError, Lister},
};

/// Looks at one host.
#[derive(Debug)]
pub(super) struct Witness {
    lister: Lister,
    family: Family,
}

impl Witness {
    /// The calling thread must be inside `netns`.
    pub(super) fn new(netns: Netns, family: Family) -> Result<Self, DumpError> {
        Ok(Self { lister: Lister::new(netns)?, family })
    }

    pub(super) fn look(&mut self) -> Result<Vec<KnownSocket>, DumpError> {
        let mut sockets = Vec::new();
        self.lister.list(self.family, &mut sockets)?;
        Ok(sockets)
    }

    /// Ends every socket, as far as the kernel can.
    pub(super) fn clear(&mut self) -> Result<(), DumpError> {
        for socket in self.look()? {
            self.lister.destroy(&socket)?;
        }
        Ok(())
    }
}
